"""lamson.containers.cell: how its database is asked."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import pytest

from lamson.containers.cell import Cell


@pytest.mark.parametrize(
    ("statement", "asked"),
    [
        ("select 1", "read"),
        ("SELECT\n1", "read"),
        ("insert into note values (1)", "run"),
        ("with gone as (delete from note returning 1) select 1", "run"),
    ],
)
def test_only_what_reads_may_be_asked_twice(statement: str, asked: str) -> None:
    calls: list[tuple[str, str]] = []

    def answer(how: str, *command: str) -> str:
        calls.append((how, command[-1]))
        return 'one,"two\nlines"\n3,\n'

    service = SimpleNamespace(read=partial(answer, "read"), run=partial(answer, "run"))
    cell = Cell(service)  # type: ignore[arg-type]
    assert cell.query(statement) == [("one", "two\nlines"), ("3", "")]
    assert calls == [(asked, statement)]
