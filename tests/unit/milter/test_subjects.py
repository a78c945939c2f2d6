"""lamson_milter.subjects: what can be recorded, and that nothing happens at once."""

from __future__ import annotations

import pytest

from lamson.errors import AddressError
from lamson.message.notes import MAX_NOTES
from lamson.smtp.envelope import Recipient
from lamson_milter.actions import (
    AddHeader,
    AddRecipient,
    ChangeHeader,
    ChangeSender,
    RemoveRecipient,
    ReplaceBody,
)
from lamson_milter.subjects import Arrival, Connection, FilteredMail
from tests.unit.support import make_message


def filtered() -> FilteredMail:
    message = make_message(recipient="list@test.com")
    return FilteredMail(message.content, message.envelope, message.recipient, notes={"a": 1})


def test_edits_are_recorded_in_order_and_change_nothing() -> None:
    mail = filtered()
    before = mail.raw
    mail.add_header("A", "1")
    mail.insert_header("B", "2")
    mail.insert_header("C", "3", 7)
    mail.change_header("Subject", "other")
    mail.delete_header("To", 2)
    mail.replace_body("one\ntwo\r\n")
    mail.replace_body(b"\xff\n")
    mail.add_recipient("more@test.com", "NOTIFY=NEVER")
    mail.remove_recipient()
    mail.remove_recipient("Other@TEST.com")
    mail.change_sender("")
    assert mail.edits == [
        AddHeader("A", "1"),
        AddHeader("B", "2", 0),
        AddHeader("C", "3", 7),
        ChangeHeader("Subject", "other", 1),
        ChangeHeader("To", None, 2),
        ReplaceBody(b"one\r\ntwo\r\n"),
        ReplaceBody(b"\xff\r\n"),
        AddRecipient("more@test.com", "NOTIFY=NEVER"),
        RemoveRecipient("list@test.com"),
        RemoveRecipient("Other@test.com"),
        ChangeSender(""),
    ]
    assert mail.raw == before
    assert mail.subject == "hello"


def test_what_cannot_be_recorded_is_not() -> None:
    mail = Arrival(recipient=Recipient("list@test.com"))
    with pytest.raises(AddressError):
        mail.remove_recipient("nobody")
    with pytest.raises(ValueError, match="not ESMTP parameters"):
        mail.add_recipient("more@test.com", "a\r\nb")
    assert mail.edits == []


def test_an_arrival_of_which_nothing_is_known() -> None:
    mail = Arrival()
    assert (mail.sender, mail.recipient.address, mail.peer.addr) == ("", "", "")
    assert mail.parameters == mail.notes == {}


def test_notes_are_made_beside_those_that_were_made_before() -> None:
    mail = filtered()
    mail.note("b", [1, None, {"c": "d"}])
    assert mail.notes == {"a": 1}
    assert mail.new_notes == {"b": [1, None, {"c": "d"}]}


def test_notes_that_cannot_be_made() -> None:
    client = Connection(make_message().peer)
    for value in (object(), float("nan"), {1}):
        with pytest.raises(ValueError, match="not a value that JSON can say"):
            client.note("x", value)  # type: ignore[arg-type]
    client.note("x", "y" * (MAX_NOTES - 20))
    with pytest.raises(ValueError, match="the notes pass"):
        client.note("z", "y" * 20)
    assert list(client.new_notes) == ["x"]
