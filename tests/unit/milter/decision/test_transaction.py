"""lamson_milter.decision.transaction: many filters, many recipients, stage by stage."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from lamson.message.notes import HEADER, Notary
from lamson.message.parsed import ParsedMessage
from lamson.smtp.envelope import LOCAL, Peer, Sasl
from lamson.smtp.reply import NO_SUCH_RECIPIENT
from lamson_milter.actions import (
    AddHeader,
    ChangeHeader,
)
from lamson_milter.decision.transaction import Arriving, ConnectionState, Transaction
from tests.unit.milter.support import Dialogue, names

if TYPE_CHECKING:
    from pathlib import Path


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
    assert transaction.rcpt("<staff(x)@test.com>", told=Arriving("staff@test.com")) is not None
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
        assert transaction.rcpt(given, told=Arriving(read)) is None
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


def test_filters_know_what_the_client_declared(tmp_path: Path) -> None:
    dialogue = Dialogue(
        tmp_path,
        """
    @filter_sender
    def sender(mail):
        mail.note("sender", [mail.eight_bit, mail.smtputf8, mail.queue_id, mail.peer.proto])
    @filter_recipient("(user)@(host)")
    def recipient(mail, user, host):
        told = [mail.eight_bit, mail.smtputf8, mail.queue_id, mail.transport, mail.next_hop]
        mail.note("recipient", told)
    @filter_message("(user)@(host)")
    def message(message, user, host):
        envelope = message.envelope
        message.note("message", [envelope.eight_bit, envelope.smtputf8, envelope.queue_id])
        message.note("login", message.peer.sasl.login)
        message.note("notes", list(message.notes.values()))
    """,
    )
    login = Sasl("zed", "PLAIN")
    for parameters, eight_bit, smtputf8, proto in (
        (["BODY=8bitmime", "SMTPUTF8"], True, True, "ESMTP"),
        (["BODY=7BIT", "SIZE=5"], False, False, "ESMTP"),
        ([], False, False, "ESMTP"),  # as the client has authenticated
    ):
        connection = dialogue.connection
        connection.peer = Peer(addr="192.0.2.1", sasl=login if not parameters else Sasl())
        transaction = Transaction(connection)
        transaction.mail("<zed@sender.test>", parameters)
        transaction.rcpt("<one@test.com>", told=Arriving("", "lmtp", "lamson", "4bYm"))
        transaction.end(lambda: ParsedMessage(b"\r\n"), queue_id="4bYm", now=1.0)
        notes = transaction._addressees[0].verdicts.notes
        declared = [eight_bit, smtputf8]
        assert notes["message"] == [*declared, "4bYm"]
        assert notes["notes"] == [
            [*declared, "", proto],
            [*declared, "4bYm", "lmtp", "lamson"],
        ]
        assert notes["login"] == connection.peer.sasl.login


def test_without_the_network_a_recipient_is_refused_at_the_end(tmp_path: Path) -> None:
    """Postfix's sendmail cannot be told at RCPT: its pickup would try again for ever."""
    dialogue = Dialogue(
        tmp_path,
        """
    @filter_recipient("bad@(host)")
    def bad(mail, host):
        return Reject("5.7.9", "not by any way")
    """,
    )
    dialogue.connection.peer = Peer("localhost", "127.0.0.1", "0", source=LOCAL)
    assert str(dialogue.message("bad@test.com").refusal) == "550 5.7.9 not by any way"
    outcome = dialogue.message("bad@test.com", "one@test.com")
    assert outcome.refusal is None
    assert [one.address for one in outcome.removed] == ["bad@test.com"]
    refusing = replace(dialogue.connection.rules, refuse=lambda recipient: NO_SUCH_RECIPIENT)
    transaction = Transaction(ConnectionState(refusing, dialogue.connection.peer))
    assert transaction.rcpt("<nobody@test.com>") is None
    outcome = transaction.end(lambda: ParsedMessage(b"\r\n"), queue_id="4bYm", now=1.0)
    assert outcome.refusal == NO_SUCH_RECIPIENT
