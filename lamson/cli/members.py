"""Members of a mailing list from a table (CSV), for `lamson import -members`.

Such as other list servers export. A first line that names an ``address`` (or ``email``) names the
columns; without one the first field of each line is the address. All lines are read before anybody
is put on the list: where one is wrong, nobody is.
"""

from __future__ import annotations

import csv
import os
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from lamson.cli.options import printable
from lamson.errors import AddressError, LamsonError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from sqlalchemy.engine import Connection

MOST = 1_000_000  # lines
_PIECE = 500  # of one transaction: the service wants to write, too
_ADDRESS = ("address", "email")
_SWITCHES = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
_WORDS: dict[str, tuple[str, Mapping[str, Any]]] = {
    "status": ("status", {one: one for one in ("active", "paused", "disabled")}),
    "mode": ("mode", {one: one for one in ("mail", "digest", "none")}),
    "owner": ("is_owner", _SWITCHES),
    "moderator": ("is_moderator", _SWITCHES),
}


class Entry(NamedTuple):
    """Somebody who is to be on the list, and what his row says besides."""

    address: str
    values: dict[str, Any]


def put_on(list_address: str, file: Path) -> None:
    """Put those of the table on the list; who is on it already stays as he is.

    Raises LamsonError (EX_DATAERR) where a line is wrong; each is named on standard error.
    """
    from lamson.cli.progress import progress
    from lamson.cli.tasks import tables_of_the_project
    from lamson.lists import MailingList

    try:
        which = MailingList(list_address).address
    except AddressError as error:
        raise click.BadParameter(str(error), param_hint="-members") from None
    entries = _read(file)
    added = 0
    with (
        closing(tables_of_the_project()) as database,
        progress(len(entries), "adding") as done,
    ):
        for begin in range(0, len(entries), _PIECE):
            piece = entries[begin : begin + _PIECE]
            with database.begin() as connection:
                added += sum(_put(connection, which, one) for one in piece)
            done(len(piece))
    click.echo(f"{added} put on {which}, {len(entries) - added} on it already")


def _put(connection: Connection, which: str, entry: Entry) -> bool:
    from lamson.storage import lists

    there = lists.find(connection, which, entry.address)
    if there is not None and there["status"] in lists.ON_IT:
        return False
    values = {"status": lists.ACTIVE, "since": time.time(), **entry.values}
    lists.put(connection, which, entry.address, **values)
    return True


def _read(path: Path) -> list[Entry]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _entries(csv.reader(file), path.name)
    except OSError as error:
        problem = f"{path}: {error.strerror}"
        raise LamsonError(problem, exit_code=os.EX_NOINPUT) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise LamsonError(f"{path}: no table: {error}", exit_code=os.EX_DATAERR) from None


def _entries(lines: Iterable[list[str]], name: str) -> list[Entry]:
    found: list[Entry] = []
    wrong = 0
    columns = ["address"]
    for number, line in enumerate(lines, 1):
        if number > MOST:
            raise LamsonError(f"{name}: more than {MOST} lines", exit_code=os.EX_DATAERR)
        words = [one.strip() for one in line]
        if number == 1 and (named := _columns(words)):
            columns = named
        elif any(words):
            try:
                found.append(_entry(dict(zip(columns, words, strict=False))))
            except ValueError as error:
                wrong += 1
                click.echo(printable(f"{name}:{number}: {error}"), err=True)
    if wrong:
        problem = f"{wrong} line(s) are wrong, and nobody was put on the list"
        raise LamsonError(problem, exit_code=os.EX_DATAERR)
    return found


def _columns(words: list[str]) -> list[str]:
    """What the first line calls them; [] where it is no heading."""
    names = ["address" if one.lower() in _ADDRESS else one.lower() for one in words]
    if "address" not in names:
        return []
    if others := [one for one in names if one != "address" and one not in _WORDS]:
        told = printable(", ".join(others))
        click.echo(f"not taken: {told}; known are address, {', '.join(_WORDS)}", err=True)
    return names


def _entry(line: dict[str, str]) -> Entry:
    """Raises ValueError."""
    from lamson.smtp.address import parse_mailbox

    return Entry(parse_mailbox(line.get("address", ""), smtputf8=True), dict(_values(line)))


def _values(line: dict[str, str]) -> Iterator[tuple[str, Any]]:
    for name, (column, words) in _WORDS.items():
        if said := line.get(name, "").lower():
            if said not in words:
                raise ValueError(f"{name}: {said!r}: expected one of {', '.join(words)}")
            yield column, words[said]
