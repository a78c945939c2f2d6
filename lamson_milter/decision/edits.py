"""Edits in the order in which Postfix has to be told them, and a message after them.

For `transaction` and for tests of filters. The index of a header field counts the fields as they
arrived, whatever edits came before; Postfix counts them as they are at that moment. So fields are
changed first, taken away from the last to the first, and added at the end. Nor do filters see the
Received field that Postfix writes above the others; it counts that one too.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lamson.smtp import address
from lamson_milter.actions import (
    AddHeader,
    AddRecipient,
    ChangeHeader,
    ChangeSender,
    RemoveRecipient,
    ReplaceBody,
)
from lamson_milter.field import field_value

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lamson_milter.actions import Edit

Fields = list[tuple[str, bytes]]


def in_order(edits: Sequence[Edit]) -> list[Edit]:
    """The edits as Postfix has to be told them; of two for the same thing the later one."""
    if len(edits) < 2:
        return list(edits)
    changed: dict[tuple[str, int], ChangeHeader] = {}
    last: dict[type, Edit] = {}
    people: dict[tuple[type, str], Edit] = {}
    for edit in edits:
        if isinstance(edit, ChangeHeader):
            changed[edit.name.lower(), edit.index] = edit
        elif isinstance(edit, ReplaceBody | ChangeSender):
            last[type(edit)] = edit
        elif isinstance(edit, AddRecipient | RemoveRecipient):
            identity = address.normalise(edit.address)
            for kind in (AddRecipient, RemoveRecipient):
                people.pop((kind, identity), None)
            people[type(edit), identity] = edit
    changes = [edit for edit in changed.values() if edit.value is not None]
    gone = [edit for edit in changed.values() if edit.value is None]
    gone.sort(key=lambda edit: edit.index, reverse=True)
    added = [edit for edit in edits if isinstance(edit, AddHeader)]
    return [*changes, *gone, *added, *last.values(), *people.values()]


def as_postfix_counts(edits: Sequence[Edit]) -> Iterator[Edit]:
    """The edits with the places of added fields as Postfix counts them: its own Received too."""
    above_received = 0
    for edit in edits:
        if not isinstance(edit, AddHeader) or edit.position is None:
            yield edit
        elif edit.position == 0 or edit.position < above_received:
            above_received += 1
            yield edit
        else:
            yield replace(edit, position=edit.position + 1)


def apply_to_fields(fields: Fields, edits: Sequence[Edit]) -> Fields:
    """The header fields as Postfix has them after the edits: (name, what follows the colon)."""
    fields = list(fields)
    for edit in edits:
        if isinstance(edit, AddHeader):
            at = len(fields) if edit.position is None else edit.position
            fields.insert(at, (edit.name, field_value(edit.name, edit.value).encode()))
        elif isinstance(edit, ChangeHeader):
            _change(fields, edit)
    return fields


def _change(fields: Fields, edit: ChangeHeader) -> None:
    places = [at for at, (name, _) in enumerate(fields) if name.lower() == edit.name.lower()]
    value = None if edit.value is None else field_value(edit.name, edit.value).encode()
    if len(places) >= edit.index:
        at = places[edit.index - 1]
        if value is None:
            del fields[at]
        else:
            fields[at] = (edit.name, value)
    elif value is not None:  # there is none to change: Postfix adds it
        fields.append((edit.name, value))


def header_bytes(fields: Fields) -> bytes:
    """Header and empty line, as they stand in a message."""
    lines = [b"%b:%b\n" % (name.encode("utf-8", "replace"), value) for name, value in fields]
    header = b"".join(lines) + b"\n"
    return header.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
