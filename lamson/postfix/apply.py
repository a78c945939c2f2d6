"""Carrying out a plan, and undoing it.

`carry_out` writes main.cf and master.cf with postconf alone, the tables that they name before, and
before all a rollback file with which `undo` restores what was there, octet by octet. Who goes on
looking at the configuration reads it again.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from lamson import private
from lamson.errors import LamsonError
from lamson.postfix import texts
from lamson.postfix.plan import FILES, TABLE, Change
from lamson.postfix.recipients import DIRECTORY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lamson.postfix.postconf import Postconf


def carry_out(postconf: Postconf, changes: Sequence[Change], directory: Path) -> Path | None:
    """Make the changes that are not in doubt; gives the rollback file, None where there are none.

    Raises LamsonError, before anything is changed, where the rollback file cannot be written or
    others could exchange a file in ``directory``; and where postconf fails. It then names the
    rollback file if something was changed before that; else there is none.
    """
    changes = [change for change in changes if not change.doubt]
    if not changes:
        return None
    try:
        if not directory.exists():
            directory.mkdir(parents=True)
            directory.chmod(0o755)  # Postfix reads tables in it, whatever umask this is
        private.check_place(directory)
        before = postconf.files()
        rollback = _write(directory, _record(changes, before))
    except OSError as error:
        raise LamsonError(
            f"{directory}: no rollback file can be written: {error.strerror}; nothing was changed",
            exit_code=os.EX_CANTCREAT,
        ) from None
    try:
        perform(postconf, changes)
    except LamsonError as error:
        if not any(_is_made(change, now) for change, now in _as_now(postconf, changes)):
            rollback.unlink()
            raise
        raise LamsonError(
            f"{error}; to undo what was done before that: lamson postfix apply -undo {rollback}",
            exit_code=error.exit_code,
        ) from None
    with suppress(OSError):  # without it the values are restored, if not the white space
        _seal(rollback, _record(changes, before, postconf.files()))
    return rollback


def _record(
    changes: Sequence[Change], before: Mapping[str, bytes], after: Mapping[str, bytes] | None = None
) -> str:
    """What a rollback file says; with ``after`` also how to tell that nothing has changed since."""
    record: dict[str, object] = {
        "changes": [asdict(change) for change in changes],
        "before": texts.recorded(before),
    }
    if after is not None:
        record["after"] = texts.digests(after)
    return json.dumps(record, indent=1) + "\n"


def _seal(rollback: Path, text: str) -> None:
    new = rollback.with_name(f".{rollback.name}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        new.replace(rollback)
    except OSError:
        new.unlink()
        raise


def _replace(table: Path, text: str) -> None:
    """A table has this text, and never a part of it."""
    new = table.with_name(f".{table.name}.new")
    try:
        table.parent.mkdir(parents=True, exist_ok=True)
        new.write_text(text)
        new.chmod(0o644)
        new.replace(table)
    except OSError as error:
        raise LamsonError(f"{table}: {error.strerror}", exit_code=os.EX_CANTCREAT) from None


def _write(directory: Path, text: str) -> Path:
    """A rollback file in ``directory``, for its owner alone; none that is there is replaced."""
    stem = f"rollback-{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}"
    for number in count(1):
        rollback = directory / (f"{stem}.json" if number == 1 else f"{stem}-{number}.json")
        try:
            descriptor = os.open(rollback, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            continue
        try:
            with open(descriptor, "w") as file:
                file.write(text)
                file.flush()
                os.fsync(descriptor)
        except OSError:
            rollback.unlink()  # a part of one undoes nothing
            raise
        return rollback
    raise AssertionError


def undo(postconf: Postconf, rollback: Path) -> list[Change]:
    """Restore what `carry_out` found; gives the changes that were undone.

    Raises LamsonError for a file that anybody but the caller and root could have written.

    Where nobody has touched main.cf and master.cf since, they are put back as they were. Else what
    is as before, because `carry_out` did not get that far, is passed over, and a value that was
    changed since then is left alone: LamsonError names it, and nothing is undone.
    """
    changes = []
    recorded, files, digests = _recorded(rollback)
    place = postconf.read().directory / DIRECTORY
    for change in recorded:
        if change.file == TABLE and Path(change.name).parent != place:
            raise LamsonError(f"{rollback}: no rollback file: {change.name} is no table of ours")
    for change, now in _as_now(postconf, recorded):
        if _is_made(change, now):
            changes.append(change)
        elif _split(now) != _split(change.before):
            raise LamsonError(
                f"{change.name} was changed since, to {now}; nothing was undone",
                exit_code=os.EX_CONFIG,
            )
    if files and digests == texts.digests(postconf.files()):
        postconf.put_back(files)
        _restore_tables(changes)
        return changes
    before = {one.name: one.before for one in changes if one.file == "main.cf"}
    postconf.set({name: value for name, value in before.items() if value is not None})
    postconf.unset([name for name, value in before.items() if value is None])
    for change in changes:
        if change.is_override and change.before is None:
            postconf.unset_override(change.name)
        elif change.is_override:
            postconf.set_override(change.name, str(change.before))
        elif change.file == "master.cf":
            postconf.unset_service(change.name)
    _restore_tables(changes)
    return changes


def _restore_tables(changes: Sequence[Change]) -> None:
    for change in changes:
        if change.file == TABLE and change.before is None:
            Path(change.name).unlink(missing_ok=True)
        elif change.file == TABLE:
            _replace(Path(change.name), str(change.before))


def _recorded(rollback: Path) -> tuple[list[Change], dict[str, bytes], object]:
    """What a file says that `carry_out` wrote, which writes none without a change: these, the files
    as they were, and what is known of them as they were then. A former version wrote changes only.
    """
    files: dict[str, bytes] = {}
    digests: object = None
    try:
        private.check_place(rollback)
        recorded = json.loads(rollback.read_text())
        if isinstance(recorded, dict):
            files, digests = texts.restored(recorded.get("before")), recorded.get("after")
            recorded = recorded.get("changes")
        if not isinstance(recorded, list) or not recorded:
            raise ValueError("it is no list of changes")
        changes = [Change(**change) for change in recorded]
        for one in changes:
            given = (one.name, one.after, one.before or "")
            if one.file not in FILES or not all(isinstance(text, str) for text in given):
                raise ValueError(f"{one.name} is no change of ours")
    except OSError as error:
        raise LamsonError(f"{rollback}: {error.strerror}", exit_code=os.EX_NOINPUT) from None
    except (ValueError, TypeError) as error:
        raise LamsonError(
            f"{rollback}: no rollback file: {error}", exit_code=os.EX_DATAERR
        ) from None
    return changes, files, digests


def _as_now(postconf: Postconf, changes: Sequence[Change]) -> list[tuple[Change, str | None]]:
    """Each change, and what stands in its place now; None for nothing."""
    configuration = postconf.read()
    entries = {key: service.entry for key, service in configuration.services.items()}
    for key, service in configuration.services.items():
        entries |= {f"{key}/{name}": value for name, value in service.options.items()}
    found = []
    for one in changes:
        if one.file == TABLE:
            path = Path(one.name)
            now = path.read_text() if path.is_file() else None
        else:
            now = (configuration.explicit if one.file == "main.cf" else entries).get(one.name)
        found.append((one, now))
    return found


def _is_made(change: Change, now: str | None) -> bool:
    return now is not None and now.split() == change.after.split()


def _split(value: str | None) -> list[str] | None:
    return None if value is None else value.split()


def perform(postconf: Postconf, changes: Sequence[Change]) -> None:
    """Make them, with no way back: also those that are in doubt."""
    for change in changes:
        if change.file == TABLE:
            _replace(Path(change.name), change.after)
    postconf.set({one.name: one.after for one in changes if one.file == "main.cf"})
    for change in changes:
        if change.is_override:
            postconf.set_override(change.name, change.after)
        elif change.file == "master.cf":
            postconf.set_service(change.name, change.after)
