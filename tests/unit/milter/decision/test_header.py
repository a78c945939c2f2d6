"""lamson_milter.decision.header: what is kept of a header. Its limits are tried in test_limits."""

from __future__ import annotations

from lamson_milter.decision.header import IncomingHeader
from lamson_milter.decision.limits import FIELD_COST


def test_fields_are_kept_as_they_came_and_forged_notes_counted() -> None:
    header = IncomingHeader()
    assert header.add("Subject", b" Hello") == FIELD_COST + 13
    header.add("x-lamson-NOTES", b" forged")
    assert header.fields == [("Subject", b" Hello"), ("x-lamson-NOTES", b" forged")]
    assert (header.forged_notes, header.is_cut) == (1, False)


def test_behind_what_passes_a_limit_nothing_is_kept_and_notes_still_count() -> None:
    header = IncomingHeader()
    assert header.add("X", b"x" * (1 << 20)) == 0
    assert header.add("X-Lamson-Notes", b" forged") == 0
    assert header.fields == []
    assert (header.forged_notes, header.is_cut) == (1, True)
