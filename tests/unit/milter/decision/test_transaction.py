"""lamson_milter.decision.transaction: many filters, many recipients, one decision."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lamson.message.notes import HEADER, Notary
from lamson_milter.actions import (
    AddHeader,
    AddRecipient,
    ChangeHeader,
    ChangeSender,
    RemoveRecipient,
    ReplaceBody,
)
from lamson_milter.decision.edits import apply_to_fields, as_postfix_counts
from tests.unit.milter.support import Dialogue

if TYPE_CHECKING:
    from pathlib import Path

BY_NAME = """
VERDICTS = {
    "reject": Reject("5.7.9", "no"), "defer": Defer("4.7.9", "later"), "discard": Discard,
    "hold": Quarantine("held"), "accept": Accept, "raise": SMTPError(550, "5.7.8", "raised"),
    "later": SMTPError(450, "4.7.8", "raised"), "exit": SystemExit(), "wrong": "250",
}

@filter_message("(user)@(host)")
def by_name(message: FilteredMail, user: str, host: str) -> Verdict:
    message.add_header("X-User", user)
    message.add_header("X-Same", "yes")
    verdict = VERDICTS.get(user)
    if isinstance(verdict, BaseException):
        raise verdict
    return verdict
"""


def names(*users: str) -> tuple[str, ...]:
    return tuple(f"{user}@test.com" for user in users)


@pytest.mark.parametrize(
    ("users", "verdict", "reply"),
    [
        (("one",), "accepted", ""),
        (("reject",), "rejected", "550 5.7.9 no"),
        (("reject", "reject"), "rejected", "550 5.7.9 no"),
        (("one", "defer"), "deferred", "451 4.7.9 later"),
        (("reject", "defer"), "deferred", "451 4.7.9 later"),
        (("discard",), "discarded", ""),
        (("discard", "reject"), "rejected", "550 5.7.9 no"),
        (("one", "hold"), "quarantined", ""),
        (("hold", "discard"), "quarantined", ""),
        (("raise",), "rejected", "550 5.7.8 raised"),
        (("later",), "deferred", "450 4.7.8 raised"),
    ],
)
def test_decisions(tmp_path: Path, users: tuple[str, ...], verdict: str, reply: str) -> None:
    outcome = Dialogue(tmp_path, BY_NAME).message(*names(*users))
    assert (str(outcome), str(outcome.refusal or "")) == (verdict, reply)
    if verdict in ("rejected", "deferred", "discarded"):
        assert not outcome.edits


@pytest.mark.parametrize("user", ["exit", "wrong"])
def test_whatever_a_filter_does_is_451(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, user: str
) -> None:
    outcome = Dialogue(tmp_path, BY_NAME).message(*names(user))
    assert str(outcome.refusal).startswith("451 4.3.0")
    assert "id=4bYmCz0R3Dz1Xy: filter" in caplog.text


def test_rejected_recipients_are_removed_and_their_edits_dropped(tmp_path: Path) -> None:
    outcome = Dialogue(tmp_path, BY_NAME).message(*names("one", "reject", "discard", "two"))
    assert outcome.edits == [
        AddHeader("X-User", "one"),
        AddHeader("X-Same", "yes"),
        AddHeader("X-User", "two"),
        RemoveRecipient("reject@test.com"),
        RemoveRecipient("discard@test.com"),
    ]
    assert [(recipient, str(reply)) for recipient, reply in outcome.removed] == [
        ("reject@test.com", "550 5.7.9 no"),
        ("discard@test.com", "None"),
    ]


def test_the_first_verdict_ends_the_asking(tmp_path: Path) -> None:
    outcome = Dialogue(
        tmp_path,
        """
    @filter_message("(user)@(host)")
    def one(message, user, host):
        message.add_header("X-One", "1")
        return Quarantine("one")
    @filter_message("(user)@(host)")
    def two(message, user, host):
        message.add_header("X-Two", "2")
        return Accept
    @filter_message("(user)@(host)")
    def three(message, user, host):
        return Reject()
    """,
    ).message()
    assert outcome.quarantine == "one"
    assert outcome.edits == [AddHeader("X-One", "1"), AddHeader("X-Two", "2")]


@pytest.mark.parametrize("stage", ["connection", "sender"])
def test_an_early_verdict_counts_for_all_that_follows(tmp_path: Path, stage: str) -> None:
    source = """
    VERDICT = Accept
    @filter_STAGE
    def early(thing):
        thing.note("early", True)
        return VERDICT
    @filter_recipient("(user)@(host)")
    def recipient(mail, user, host):
        return Reject()
    @filter_message("(user)@(host)")
    def message(message, user, host):
        return Reject()
    """.replace("STAGE", stage)
    assert str(Dialogue(tmp_path, source).message()) == "accepted"
    source = source.replace("VERDICT = Accept", "VERDICT = Discard")
    assert str(Dialogue(tmp_path, source).message()) == "discarded"
    source = source.replace("return Reject()", "pass")
    source = source.replace("VERDICT = Discard", "VERDICT = Quarantine('early')")
    assert Dialogue(tmp_path, source).message().quarantine == "early"


def test_recipients_are_refused_one_by_one(tmp_path: Path) -> None:
    dialogue = Dialogue(
        tmp_path,
        """
    @filter_recipient("bad@(host)")
    def bad(mail, host):
        return Reject("5.7.9", f"{mail.sender} {mail.parameters['NOTIFY']} {mail.peer.addr}")
    """,
    )
    transaction = dialogue.transaction
    transaction.mail("<zed@sender.test>", ["SIZE=100"])
    assert transaction.rcpt("<one@test.com>") is None
    refusal = transaction.rcpt("<Bad@TEST.com>", ["notify=NEVER"])
    assert str(refusal) == "550 5.7.9 zed@sender.test NEVER 192.0.2.1"
    assert transaction.recipients == ["one@test.com"]


def test_edits_come_in_the_order_that_keeps_their_meaning(tmp_path: Path) -> None:
    outcome = Dialogue(
        tmp_path,
        """
    @filter_message("(user)@(host)")
    def edit(message, user, host):
        message.add_header("X", "new")
        message.delete_header("X", 1)
        message.delete_header("x", 3)
        message.change_header("X", "first", 1)
        message.change_header("X", "two", 2)
        message.replace_body("a")
        message.replace_body("b\\n")
        message.change_sender("a@b.example")
        message.change_sender("")
        message.add_recipient("x@y.example")
        message.remove_recipient("x@y.example")
        message.remove_recipient("y@y.example")
        message.add_recipient("y@y.example", "NOTIFY=NEVER")
    """,
    ).message()
    assert outcome.edits == [
        ChangeHeader("X", "first", 1),
        ChangeHeader("X", "two", 2),
        ChangeHeader("x", None, 3),
        AddHeader("X", "new"),
        ReplaceBody(b"b\r\n"),
        ChangeSender(""),
        RemoveRecipient("x@y.example"),
        AddRecipient("y@y.example", "NOTIFY=NEVER"),
    ]


def test_what_postfix_reads_in_a_path_is_the_address(tmp_path: Path) -> None:
    dialogue = Dialogue(
        tmp_path,
        """
    @filter_sender
    def sender(mail):
        return None if mail.sender in ("", "zed@sender.test") else Reject("5.7.1", mail.sender)
    @filter_recipient("staff@(host)")
    def staff(mail, host):
        return Reject("5.7.1", "not staff")
    """,
    )
    transaction = dialogue.transaction
    assert transaction.mail("<>") is None
    assert transaction.mail("<zed(x)@sender.test>", read="zed@sender.test") is None
    assert transaction.rcpt("<staff(x)@test.com>", read="staff@test.com") is not None
    for given, read in (
        ("<One(x)@TEST.com>", "one@test.com"),
        ("<@relay.test:One@test.com>", "one@test.com"),
        ("Token-aB@TEST.com", "token-ab@test.com"),
        ("<Grüße@test.com>", "grüsse@test.com"),
        ("<test.com!two>", "two@test.com"),
        ("<plain@test>", "plain@test.example"),
        ("<Odd..dots@test.com>", "odd..dots@test.com"),
        ("<Four@TEST.com>", ""),
        ("no address", ""),
    ):
        assert transaction.rcpt(given, read=read) is None
    assert transaction.recipients == [
        "one@test.com",
        "One@test.com",
        "Token-aB@test.com",
        "Grüße@test.com",
        "two@test.com",
        "plain@test.example",
        '"Odd..dots"@test.com',
        "Four@test.com",
        "no address",
    ]
    known = ["<One(x)@TEST.com>", "<one@test.com>", "<@relay.test:One@test.com>"]
    assert transaction.paths("ONE@test.com") == known
    assert transaction.paths("none@test.com") == ["<none@test.com>"]


def test_postfix_counts_its_own_received_field_too() -> None:
    edits = [
        ChangeHeader("X", "1"),
        *[AddHeader("A", "", position) for position in (None, 1, 0, 1, 0, 1, 7)],
    ]
    counted = list(as_postfix_counts(edits))
    assert counted[0] == edits[0]
    places = [edit.position for edit in counted if isinstance(edit, AddHeader)]
    assert places == [None, 2, 0, 2, 0, 1, 8]


def test_taking_every_recipient_away_discards_the_message(tmp_path: Path) -> None:
    source = """
    @filter_message("(user)@(host)")
    def edit(message, user, host):
        message.remove_recipient()
    """
    assert str(Dialogue(tmp_path, source).message()) == "discarded"


def test_what_cannot_be_written_down_fails_in_the_filter(tmp_path: Path) -> None:
    source = """
    @filter_message("(user)@(host)")
    def edit(message, user, host):
        tries = [
            lambda: message.add_header("X", "a\\r\\nE: b"), lambda: message.add_header("X:", "a"),
            lambda: message.insert_header("X", "a", -1), lambda: message.delete_header("X", 0),
            lambda: message.add_recipient("nobody"), lambda: message.change_sender("a b"),
            lambda: message.add_recipient("a@b.example", "X\\r\\nY"),
            lambda: message.note("x", object()), lambda: message.note("x", "y" * 5000),
            lambda: Reject("4.1.1", "x"), lambda: Reject("5.1.1", "a\\rb"), lambda: Defer("5.1.1"),
            lambda: Quarantine(""), lambda: Quarantine("a\\nb"),
            lambda: Arrival().remove_recipient(),
        ]
        for one in tries:
            try:
                one()
            except ValueError:
                continue
            raise SystemExit(one)
    """
    outcome = Dialogue(tmp_path, source).message()
    assert str(outcome) == "accepted"
    assert not outcome.edits


def test_our_field_moves_no_place_that_a_filter_names(tmp_path: Path) -> None:
    outcome = Dialogue(
        tmp_path,
        """
    @filter_message("(user)@(host)")
    def note(message, user, host):
        message.note("a", 1)
        message.insert_header("X-Second", "1", 1)
    """,
        Notary(b"secret"),
    ).message(fields=(("A", b" 1"), ("B", b" 2")))
    fields = apply_to_fields([("A", b" 1"), ("B", b" 2")], outcome.edits)
    assert [name for name, _ in fields] == [HEADER, "A", "X-Second", "B"]


def test_notes_are_signed_for_each_recipient_and_forged_ones_removed(tmp_path: Path) -> None:
    notary = Notary(b"secret")
    outcome = Dialogue(
        tmp_path,
        """
    @filter_connection
    def connection(client):
        client.note("addr", client.peer.addr)
    @filter_message("(user)@(host)")
    def note(message, user, host):
        assert message.notes == {"addr": "192.0.2.1"}
        if user != "plain":
            message.note("user", user)
    """,
        notary,
    ).message(*names("one", "plain"), fields=(("x-lamson-NOTES", b" forged"),) * 2)
    *removed, added = outcome.edits
    assert removed == [ChangeHeader(HEADER, None, 2), ChangeHeader(HEADER, None, 1)]
    assert isinstance(added, AddHeader)
    for recipient, expected in (
        ("one@test.com", {"addr": "192.0.2.1", "user": "one"}),
        ("plain@test.com", {"addr": "192.0.2.1"}),
    ):
        found = notary.read([added.value], "4bYmCz0R3Dz1Xy", recipient, 1000.0)
        assert found == expected
