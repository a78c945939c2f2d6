"""lamson_milter.decision.outcome: one decision of many verdicts."""

from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamson.message.parsed import ParsedMessage
from lamson_milter.actions import AddHeader, AddRecipient, RemoveRecipient
from lamson_milter.decision.transaction import Arriving
from tests.unit.milter.support import BY_NAME, Dialogue, names

if TYPE_CHECKING:
    from pathlib import Path


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


def test_rejected_recipients_are_removed_and_their_edits_dropped(tmp_path: Path) -> None:
    outcome = Dialogue(tmp_path, BY_NAME).message(*names("one", "reject", "discard", "two"))
    assert outcome.edits == [
        AddHeader("X-User", "one"),
        AddHeader("X-Same", "yes"),
        AddHeader("X-User", "two"),
        RemoveRecipient("reject@test.com"),
        RemoveRecipient("discard@test.com"),
    ]
    removed = [(one.address, str(one.reply), str(one.by).split(".")[-1]) for one in outcome.removed]
    assert removed == [
        ("reject@test.com", "550 5.7.9 no", "by_name"),
        ("discard@test.com", "None", "by_name"),
    ]


def test_taking_every_recipient_away_discards_the_message(tmp_path: Path) -> None:
    source = """
    @filter_message("(user)@(host)")
    def edit(message, user, host):
        message.remove_recipient()
    """
    assert str(Dialogue(tmp_path, source).message()) == "discarded"


EDITING = BY_NAME.replace(
    "    verdict = VERDICTS",
    """    words = str(message.sender).partition("@")[0].split("-")
    if f"{user}.leaves" in words:
        message.remove_recipient()
    if f"{user}.adds" in words:
        message.add_recipient("reject@test.com")
    if f"{user}.redirects" in words:
        message.remove_recipient()
        message.add_recipient("elsewhere@test.com")
    verdict = VERDICTS""",
)


def test_a_reject_is_the_answer_where_the_others_left_by_themselves(tmp_path: Path) -> None:
    dialogue = Dialogue(tmp_path, EDITING)
    for recipients in (names("one", "reject"), names("reject", "one")):
        outcome = dialogue.message(*recipients, sender="one.leaves@sender.test")
        assert str(outcome.refusal) == "550 5.7.9 no"
        assert [name.split(".")[-1] for name in outcome.by] == ["by_name"]
    outcome = dialogue.message(*names("one", "reject"), sender="one.leaves-one.adds@sender.test")
    assert str(outcome.refusal) == "550 5.7.9 no", "the one that was added is the rejected one"
    outcome = dialogue.message(*names("one", "reject"), sender="one.redirects@sender.test")
    assert outcome.refusal is None
    assert AddRecipient("elsewhere@test.com") in outcome.edits


@pytest.mark.parametrize("stage", ["message", "sender"])
def test_an_archive_is_nobody_who_is_left(tmp_path: Path, stage: str) -> None:
    """Who was written to is told: a copy for somebody else makes no 250 of his Reject."""
    archive = f"""
    @filter_{stage}
    def archive(mail):
        mail.add_recipient("archive@test.com")
    """
    dialogue = Dialogue(tmp_path, dedent(archive) + dedent(EDITING))
    assert str(dialogue.message(*names("reject")).refusal) == "550 5.7.9 no"
    assert str(dialogue.message(*names("reject", "discard")).refusal) == "550 5.7.9 no"
    mixed = dialogue.message(*names("reject", "one"))
    assert mixed.refusal is None
    assert [one.address for one in mixed.removed] == ["reject@test.com"]
    assert AddRecipient("archive@test.com") in dialogue.message(*names("discard")).edits


@pytest.mark.parametrize("spellings", [("reject", "REJECT"), ("REJECT", "reject")])
def test_a_mailbox_in_two_spellings_is_one(tmp_path: Path, spellings: tuple[str, str]) -> None:
    dialogue = Dialogue(tmp_path, BY_NAME)  # the verdict goes by the spelling
    assert str(dialogue.message(*names(*spellings)).refusal) == "550 5.7.9 no"
    outcome = dialogue.message(*names(*spellings, "one"))
    assert outcome.refusal is None
    assert {one.address for one in outcome.removed} == set(names(*spellings))
    assert AddHeader("X-User", "REJECT") not in outcome.edits


def test_a_recipient_that_postfix_refused_is_nobody_who_is_left(tmp_path: Path) -> None:
    """A milter behind ours refused it: there is no queue id yet at the next one."""
    for ids, expected in ((("", ""), "550 5.7.9 no"), (("", "4bYm"), "None")):
        transaction = Dialogue(tmp_path, BY_NAME).transaction
        transaction.mail("<zed@sender.test>")
        transaction.rcpt("<ghost@test.com>", told=Arriving(queue_id=ids[0]))
        transaction.rcpt("<reject@test.com>", told=Arriving(queue_id=ids[1]))
        outcome = transaction.end(lambda: ParsedMessage(b"\r\n"), queue_id="4bYm", now=1.0)
        assert str(outcome.refusal) == expected


USERS = ("one", "two", "REJECT", "reject", "defer", "discard", "Discard", "hold", "accept")
DEEDS = ("leaves", "adds", "redirects")


@pytest.fixture(scope="module")
def editing(tmp_path_factory: pytest.TempPathFactory) -> Dialogue:
    return Dialogue(tmp_path_factory.mktemp("filters"), EDITING)


@given(
    users=st.lists(st.sampled_from(USERS), min_size=1, max_size=5),
    deeds=st.sets(st.tuples(st.sampled_from(USERS), st.sampled_from(DEEDS)), max_size=4),
)
def test_whoever_gets_250_is_delivered_to_or_somebody_said_discard(
    editing: Dialogue, users: list[str], deeds: set[tuple[str, str]]
) -> None:
    """All orders, spellings, verdicts and edits: a 250 that delivers to nobody was asked for."""
    told = "-".join(f"{user}.{deed}" for user, deed in deeds)
    outcome = editing.message(*names(*users), sender=f"{told or 'zed'}@sender.test")
    lower = [user.lower() for user in users]
    if "defer" in users:
        assert str(outcome) == "deferred"
        return
    people = [f"{user}@test.com" for user in lower]
    for edit in outcome.edits:
        if isinstance(edit, RemoveRecipient):
            people = [one for one in people if one != edit.address.lower()]
        elif isinstance(edit, AddRecipient):
            people.append(edit.address)
    if outcome.refusal is not None:
        assert "reject" in users
        assert not outcome.edits
        assert not outcome.removed
    elif outcome.is_discarded:
        assert "reject" not in users, "its refusal is the answer"
    else:
        assert people, "a message without recipients vanishes"
    rejected = "reject" in users
    if outcome.refusal is None and not outcome.is_discarded:
        gone = {one.address.lower() for one in outcome.removed}
        assert ("reject@test.com" in gone) == rejected
        assert not rejected or "reject@test.com" not in people
        asked = {f"{user}@test.com" for user, _ in deeds} | gone
        for user in lower:
            assert f"{user}@test.com" in people or f"{user}@test.com" in {
                one.lower() for one in asked
            }
