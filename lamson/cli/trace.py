"""`lamson trace`: one life of a mail, from Postfix's log, our log and the database."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lamson.cli.options import command, option, settings
from lamson.errors import LamsonError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lamson.settings.model import Settings
    from lamson.storage.database import Database
    from lamson.tracing.event import Event
    from lamson.tracing.lines import LogSource
    from lamson.tracing.timeline import Timeline
    from lamson.tracing.wanted import Asked

JOURNAL = "journal"  # in place of a file
_USUAL = ("/var/log/mail.log", "/var/log/maillog")
_WAIT = 10.0  # seconds for postconf(1)


@command("trace")
@click.argument("id")
@option(
    "log",
    dest="logs",
    multiple=True,
    metavar="FILE",
    help="Postfix's log, as `journal` that of systemd; what it was rotated to is read too. "
    "Default: main.cf's maillog_file, else the usual file, else the journal.",
)
@option("json", dest="as_json", is_flag=True, help="Print JSON, for programs.")
@option(
    "limit",
    type=click.IntRange(1, 100),
    default=10,
    show_default=True,
    metavar="NUMBER",
    help="How many mails of an address are traced, the newest.",
)
@option(
    "unit",
    default="lamson",
    show_default=True,
    metavar="NAME",
    help="Our unit in the journal: where `log_file` is empty, or `log_format` journald.",
)
def trace_command(id: str, logs: tuple[str, ...], as_json: bool, limit: int, unit: str) -> None:
    """Show the life of a mail: how it came, what handled it, what came of it, where that went.

    ID is any of its names: a queue id of Postfix, of the mail that came or of one that left; a
    Message-ID; the id of a row of the outbox or the journal; the id of tracked mail; or the address
    of a correspondent. What is read is Postfix's log, our log and the database. Exits with 66 where
    none of them knows it.

    \b
    Example:
      lamson trace 4ZxWQk1qg7z3Bq
      lamson trace zed@example.com -limit 3 -json
    """
    from lamson.tracing.timeline import Timeline
    from lamson.tracing.wanted import Asked

    try:
        asked = Asked.of(id)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="ID") from None
    effective = settings()
    looked: dict[str, str] = {}
    postfix = _postfix_logs(logs, effective, looked)
    own = _own_logs(effective, unit, looked)
    timeline = Timeline(
        asked, postfix, own, _Database(effective, asked, limit, looked), limit=limit
    )
    events = timeline.find()
    looked |= {name: f"cannot be read: {why}" for name, why in timeline.problems.items()}
    if as_json:
        click.echo(json.dumps(_as_json(id, timeline, looked), indent=2))
    if not events:
        raise LamsonError(_not_found(id, looked), exit_code=os.EX_NOINPUT)
    if not as_json:
        _print(timeline, looked)


class _Database:
    """What the database of the project knows; a database that is away is told of, and no error."""

    def __init__(
        self, effective: Settings, asked: Asked, limit: int, looked: dict[str, str]
    ) -> None:
        self._asked, self._limit, self._looked = asked, limit, looked
        self._database: Database | None = None
        if effective.database is None:
            looked["database"] = "none is set"
            return
        from lamson.storage.database import Database

        self._database = Database(effective.database)
        try:
            self._database.check()
            looked[str(self._database)] = "read"
        except LamsonError as error:
            looked[str(self._database)] = f"cannot be read: {error}"
            self._database = None

    def __call__(self, ids: Sequence[str]) -> Iterable[Event]:
        if self._database is None:
            return []
        from sqlalchemy.exc import SQLAlchemyError

        from lamson.storage import failure
        from lamson.tracing import database

        try:
            with self._database.read() as connection:
                found = [
                    *database.journal(connection, self._asked, ids, self._limit),
                    *database.waiting(connection, self._asked, ids),
                    *database.of_tracked(connection, self._asked, ids),
                ]
                if self._asked.address:
                    found += database.of_address(connection, self._asked.address)
                return found
        except SQLAlchemyError as error:
            self._looked[str(self._database)] = f"cannot be read: {failure.brief(error)}"
            return []


def _postfix_logs(
    named: Sequence[str], effective: Settings, looked: dict[str, str]
) -> list[LogSource]:
    if named:
        places: Sequence[str] = named
    elif (file := _maillog_file(effective)) is not None:
        places = [file]
    else:
        there = [one for one in _USUAL if Path(one).exists()]
        places = there[:1] or [JOURNAL]
    found: list[LogSource] = []
    for place in places:
        if place == JOURNAL:
            found += _of_journal(["SYSLOG_FACILITY=2"], "short-iso-precise", looked)
        else:
            found += _files(Path(place), looked)
    return found


def _own_logs(effective: Settings, unit: str, looked: dict[str, str]) -> list[LogSource]:
    """Both where `log_format` is "journald": without a journal it is text in the file."""
    found: list[LogSource] = []
    if effective.log_file is None or effective.log_format == "journald":
        found += _of_journal(["--unit", unit], "json", looked)
    if effective.log_file is not None:
        found += _files(effective.log_file, looked)
    return found


def _files(path: Path, looked: dict[str, str]) -> list[LogSource]:
    from lamson.tracing import lines

    try:
        found = lines.files(path)
    except OSError as error:
        looked[str(path)] = f"cannot be read: {error.strerror}"
        return []
    looked |= {str(one): "read" for one in found} or {str(path): "there is no such file"}
    return list(found)


def _of_journal(match: Sequence[str], form: str, looked: dict[str, str]) -> list[LogSource]:
    from lamson.tracing import lines

    source = lines.journal_of(match, form)
    is_there = shutil.which(source.command[0]) is not None
    looked[str(source)] = "read" if is_there else "there is no journalctl"
    return [source] if is_there else []


def _maillog_file(effective: Settings) -> str | None:
    """Where Postfix itself writes its log; None where it leaves that to syslog, or is not here."""
    program = shutil.which("postconf", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        return None
    directory = effective.postfix.config_directory
    place = ("-c", str(directory)) if directory else ()
    try:
        done = subprocess.run(
            [program, *place, "-h", "maillog_file"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_WAIT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    file = os.fsdecode(done.stdout).strip()
    return file if file.startswith("/") and file != "/dev/stdout" else None


def _not_found(id: str, looked: dict[str, str]) -> str:
    from lamson.tracing.event import shown

    places = "".join(f"\n  {shown(name)}: {how}" for name, how in looked.items())
    return f"nothing is known of {shown(id)}. Looked at:{places}"


def _print(timeline: Timeline, looked: dict[str, str]) -> None:
    for event in timeline.events:
        click.echo(_line(event))
    for name, how in looked.items():
        if how.startswith(("cannot", "there is no")):
            click.echo(f"lamson: {_shown(name)}: {_shown(how)}", err=True)
    if timeline.is_cut:
        click.echo("lamson: there is more than is shown: ask for one mail", err=True)


def _line(event: Event) -> str:
    at = "-"
    if event.at is not None:
        moment = datetime.fromtimestamp(event.at).astimezone()
        precision = "milliseconds" if event.is_precise else "seconds"
        at = moment.replace(tzinfo=None).isoformat(" ", precision)
    text = event.text or " ".join(
        f"{name}={_quoted(value)}" for name, value in event.fields.items()
    )
    return _shown(f"{at:<23}  {event.where:<8}  {event.id or '-':<17}  {event.what}: {text}")


def _quoted(value: str) -> str:
    """So that a value is one word, and no other field can be made up in it."""
    if value and not set(value) & set(' "\\='):
        return value
    return json.dumps(value, ensure_ascii=False)


def _shown(text: str) -> str:
    from lamson.tracing.event import shown

    return shown(text)


def _as_json(id: str, timeline: Timeline, looked: dict[str, str]) -> dict[str, Any]:
    return {
        "asked": id,
        "ids": timeline.ids,
        "is_cut": timeline.is_cut,
        "looked_at": [{"where": name, "how": how} for name, how in looked.items()],
        "events": [
            {
                "at": None
                if one.at is None
                else datetime.fromtimestamp(one.at).astimezone().isoformat(),
                "where": one.where,
                "id": one.id,
                "what": one.what,
                "text": one.text,
                "fields": one.fields,
            }
            for one in timeline.events
        ],
    }
