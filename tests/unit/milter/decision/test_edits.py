"""lamson_milter.decision.edits: their order, their places, and the message after them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson.message.notes import HEADER, Notary
from lamson_milter.actions import (
    AddHeader,
    AddRecipient,
    ChangeHeader,
    ChangeSender,
    RemoveRecipient,
    ReplaceBody,
)
from lamson_milter.decision.edits import apply_to_fields, as_postfix_counts, header_bytes
from tests.unit.milter.support import Dialogue

if TYPE_CHECKING:
    from pathlib import Path

    from lamson_milter.actions import Edit


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


def test_postfix_counts_its_own_received_field_too() -> None:
    edits: list[Edit] = [
        ChangeHeader("X", "1"),
        *[AddHeader("A", "", position) for position in (None, 1, 0, 1, 0, 1, 7)],
    ]
    counted = list(as_postfix_counts(edits))
    assert counted[0] == edits[0]
    places = [edit.position for edit in counted if isinstance(edit, AddHeader)]
    assert places == [None, 2, 0, 2, 0, 1, 8]


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


def test_a_message_after_its_edits() -> None:
    fields = [("A", b" 1"), ("X", b" 1"), ("x", b" 2")]
    changed = apply_to_fields(
        fields,
        [
            ChangeHeader("X", "two", 2),
            ChangeHeader("X", None, 1),
            ChangeHeader("A", None, 2),
            ChangeHeader("New", "3", 1),
            AddHeader("Last", "4"),
            AddHeader("First", "Gr\u00fc\u00dfe", 0),
            ReplaceBody(b"no field"),
        ],
    )
    assert changed == [
        ("First", b" =?utf-8?b?R3LDvMOfZQ==?="),
        ("A", b" 1"),
        ("X", b" two"),
        ("New", b" 3"),
        ("Last", b" 4"),
    ]
    assert len(fields) == 3, "what came stays as it was"


def test_header_bytes_have_crlf_in_their_folds_too() -> None:
    fields = [("A", b" 1\n 2"), ("B", b" 3\r\n 4")]
    assert header_bytes(fields) == b"A: 1\r\n 2\r\nB: 3\r\n 4\r\n\r\n"
