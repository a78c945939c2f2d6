"""Filters of a message as a whole, beside those of its recipients, and what they keep."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lamson.message.notes import HEADER, Notary
from lamson_milter.actions import AddHeader, RemoveRecipient
from tests.unit.milter.support import Dialogue, names

if TYPE_CHECKING:
    from pathlib import Path

SCAN = """
RUNS = []

@filter_message
def scan(message):
    RUNS.append(message.recipient.address)
    message.kept["score"] = len(message.envelope.recipients)
    message.note("score", 7)
    message.add_header("X-Scanned", "yes")

@filter_message("(user)@(host)")
def each(message, user, host):
    message.add_header("X-Runs", f"{len(RUNS)} {message.kept['score']} {message.notes['score']}")
    return Reject() if user == "reject" else None
"""


def test_it_is_asked_once_and_first(tmp_path: Path) -> None:
    outcome = Dialogue(tmp_path, SCAN).message(*names("a", "b", "reject"))
    assert [edit for edit in outcome.edits if isinstance(edit, AddHeader)] == [
        AddHeader("X-Scanned", "yes"),
        AddHeader("X-Runs", "1 3 7"),
    ]
    assert [one.address for one in outcome.removed] == ["reject@test.com"]


def test_what_it_notes_reaches_all_handlers(tmp_path: Path) -> None:
    notary = Notary(b"k" * 32)
    outcome = Dialogue(tmp_path, SCAN, notary).message(*names("a", "b"))
    assert HEADER in [edit.name for edit in outcome.edits if isinstance(edit, AddHeader)]


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        ("Reject('5.7.9', 'no')", "rejected"),
        ("Defer('4.7.9', 'later')", "deferred"),
        ("Discard", "discarded"),
        ("Quarantine('look')", "quarantined"),
        ("Accept", "accepted"),
        ("None", "rejected"),
    ],
)
def test_its_verdict_is_that_of_all(tmp_path: Path, verdict: str, expected: str) -> None:
    source = f"""
    @filter_message
    def whole(message):
        return {verdict}
    @filter_message("(user)@(host)")
    def each(message, user, host):
        return Reject() if {verdict!r} == "None" else None
    """
    assert str(Dialogue(tmp_path, source).message(*names("a", "b"))) == expected


def test_it_is_not_asked_about_mail_that_is_settled(tmp_path: Path) -> None:
    source = """
    @filter_recipient("(user)@(host)")
    def early(mail, user, host):
        return Discard
    @filter_message
    def whole(message):
        return Reject()
    """
    assert str(Dialogue(tmp_path, source).message(*names("a", "b"))) == "discarded"


def test_it_has_to_say_which_recipient_goes(tmp_path: Path) -> None:
    source = """
    @filter_message
    def whole(message):
        message.remove_recipient("a@test.com")
    """
    assert (
        RemoveRecipient("a@test.com") in Dialogue(tmp_path, source).message(*names("a", "b")).edits
    )
    unclear = source.replace('"a@test.com"', "")
    assert str(Dialogue(tmp_path, unclear).message(*names("a", "b"))) == "deferred"


def test_filters_of_a_client_keep_things_for_each_of_its_mails(tmp_path: Path) -> None:
    source = """
    SEEN = []
    @filter_connection
    def client(connection):
        connection.kept["client"] = connection.peer.addr
    @filter_sender
    def sender(mail):
        mail.kept["sender"] = mail.sender
    @filter_recipient("(user)@(host)")
    def recipient(mail, user, host):
        mail.kept.setdefault("users", []).append(user)
    @filter_message
    def whole(message):
        message.add_header("X-Kept", repr(message.kept))
    """
    dialogue = Dialogue(tmp_path, source)
    for sender, users in (("a@x.test", ["a", "b"]), ("b@x.test", ["c"])):
        outcome = dialogue.message(*names(*users), sender=sender)
        kept = {"client": "192.0.2.1", "sender": sender, "users": users}
        assert outcome.edits == [AddHeader("X-Kept", repr(kept))]
