"""The places that a service writes to, closed to other users of the machine.

For the commands that write there, before they do. `run/` and `logs/` are for their user alone, and
so is what lies in them; a directory with the setgid bit is shared with its group on purpose, which
then keeps its rights. Directories of sockets may be passed through by those who may open a socket
in them, and no more. What older versions left open is closed, and told.

Root does not work in a directory of another user, who could put links in its way: LamsonError says
how to become that user.
"""

from __future__ import annotations

import grp
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from lamson import private
from lamson.errors import LamsonError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lamson.settings.listening import Listening
    from lamson.settings.model import Settings

_OTHERS = 0o007
_GROUP = 0o070
_TABLES = "postfix"  # in the run directory: where `lamson postfix maps` once wrote tables
_OPEN_ANYWAY = {_TABLES, ".gitignore"}


def enter(project: Path, settings: Settings) -> list[str]:
    """Make the directories that are missing and close all; gives what is to be told, in one line.

    Raises LamsonError where the run directory is another user's, and this is root or kept out; so
    where that is a file of SQLite, as root leaves them, or the log.
    """
    _may_write(settings.run_dir)
    for file in (settings.log_file, *_database_files(settings)):
        if file is not None:
            _may_write(file)
    doors = _doors(project, settings)
    changed = list(_close_directory(settings.run_dir, doors.pop(settings.run_dir, (0, None))))
    log = settings.log_file
    if log is not None and project in log.parent.parents:
        changed += _close_directory(log.parent, (0, None))
    elif log is not None:
        changed += _close_file(log)
    for file in _database_files(settings):
        changed += _close_file(file)
    for directory, door in doors.items():
        if not _has_more_than_sockets(directory) or settings.run_dir in directory.parents:
            changed += _set_door(directory, door)
    return ["closed to other users: " + ", ".join(_shown(changed, project))] if changed else []


def make_database(settings: Settings) -> None:
    """Make SQLite's file where there is none: closed to others from the beginning."""
    file = _sqlite_file(settings)
    if file is not None:
        with suppress(OSError):  # it is there, or whoever opens it says why it cannot be
            mode = 0o660 if private.is_shared(file.parent) else 0o600
            os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode))


def _sqlite_file(settings: Settings) -> Path | None:
    kind, _, file = (settings.database or "").partition(":///")
    name = file.partition("?")[0]
    is_file = kind.startswith("sqlite") and name and not name.startswith((":", "file:"))
    return Path(name) if is_file else None


def _database_files(settings: Settings) -> list[Path]:
    database = _sqlite_file(settings)
    endings = ("", "-wal", "-shm", "-policy", "-policy-wal", "-policy-shm")
    return [] if database is None else [Path(f"{database}{ending}") for ending in endings]


def own(directory: Path) -> None:
    """Raise LamsonError where this is root and the directory is another user's."""
    with suppress(FileNotFoundError):
        status = directory.stat()
        if os.geteuid() == 0 and status.st_uid != 0:
            raise LamsonError(
                f"{directory}: it belongs to {private.owner(status)}, and root does not write"
                f" there; be that user: {private.become(status)} lamson ...",
                exit_code=os.EX_NOPERM,
            )


def _may_write(path: Path) -> None:
    """Raise LamsonError where what we need is closed to us: another's, as it should."""
    with suppress(FileNotFoundError, PermissionError):
        status = path.stat()
        is_directory = stat.S_ISDIR(status.st_mode)
        rights = os.W_OK | (os.X_OK if is_directory else os.R_OK)
        if status.st_uid != os.geteuid() and not os.access(path, rights):
            chown = f"chown{' -R' * is_directory} {private.user(os.geteuid())} {path}"
            raise LamsonError(
                f"{path}: it belongs to {private.owner(status)} and is closed to others; be"
                f" that user, or have root say: {chown}",
                exit_code=os.EX_NOPERM,
            )


def as_root() -> list[str]:
    """The warning for a service that is started as root."""
    if os.geteuid():
        return []
    return ["started as root: handlers may do all that root may; give it a user of its own"]


Door = tuple[int, str | None]  # whom a directory lets pass, as bits of its mode; its group, if set


def _doors(project: Path, settings: Settings) -> dict[Path, Door]:
    """The directories that others have to pass through, to a socket or to Postfix's tables."""
    doors: dict[Path, Door] = {}
    for server in _servers(settings):
        path = server.unix_path
        if path is None:
            continue
        mode = (0o010 if server.mode & 0o060 else 0) | (0o001 if server.mode & 0o006 else 0)
        for directory in path.parents:
            is_below = project in directory.parents or directory == settings.run_dir
            if not is_below and not (directory == path.parent and not directory.exists()):
                break
            before, group = doors.get(directory, (0, server.socket_group))
            if group != server.socket_group:  # two groups: one of them has to pass as others do
                mode |= 0o001
            doors[directory] = before | mode, group or server.socket_group
    # Rollback files of older versions lie there too, and nobody else has to read those.
    if any(path.suffix != ".json" for path in (settings.run_dir / _TABLES).glob("*")):
        before, group = doors.get(settings.run_dir, (0, None))
        doors[settings.run_dir] = before | 0o011, group
    return doors


def _servers(settings: Settings) -> Sequence[Listening]:
    milter = [settings.milter] if settings.has_milter else []
    return [settings.lmtp, settings.socketmap, settings.status, settings.web, *milter]


def _has_more_than_sockets(directory: Path) -> bool:
    """Others may have to see what else is in it, such as the rest of a project."""
    if not directory.is_dir():
        return False
    try:
        found = list(directory.iterdir())
    except PermissionError:
        return True
    return not all(path.is_socket() or path.name in _OPEN_ANYWAY for path in found)


def _close_directory(directory: Path, door: Door) -> Iterator[str]:
    """Close a directory of ours, and what lies in it."""
    own(directory)
    yield from _set_door(directory, door)
    with suppress(PermissionError):
        for path in sorted(directory.iterdir()):
            if path.name not in _OPEN_ANYWAY:
                yield from _close_file(path)


def _set_door(directory: Path, door: Door) -> Iterator[str]:
    """Let pass through whom ``door`` says, and nobody do more; a group that shares it may."""
    passing, group = door
    gid = None
    if group is not None:
        with suppress(LookupError):  # the listener says so, in better words
            gid = grp.getgrnam(group).gr_gid
    is_new = not directory.exists()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:
        return
    try:
        status = os.fstat(descriptor)
        before = stat.S_IMODE(status.st_mode)
        kept = before & _GROUP if before & stat.S_ISGID else 0
        wanted = (before & ~(_GROUP | _OTHERS)) | passing | kept
        with suppress(PermissionError):  # another's: a volume of a container, say
            if gid is not None and gid != status.st_gid and not kept:
                os.fchown(descriptor, -1, gid)
            if wanted != before:
                os.fchmod(descriptor, wanted)
                if not is_new and before & ~wanted:
                    yield f"{directory}/ (was {before:04o}, is {wanted:04o})"
    finally:
        os.close(descriptor)


def _close_file(file: Path) -> Iterator[str]:
    """Close a file of ours; one with a link, or of another user, is left alone.

    It is opened only where there is something to do: to close a file again lets go of the locks
    that this process has on it, such as SQLite's.
    """
    try:
        if not _too_open(os.lstat(file), file):
            return
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return
    try:
        status = os.fstat(descriptor)
        if bits := _too_open(status, file):
            os.fchmod(descriptor, stat.S_IMODE(status.st_mode) & ~bits)
            yield f"{file} (was {stat.S_IMODE(status.st_mode):04o})"
    finally:
        os.close(descriptor)


def _too_open(status: os.stat_result, file: Path) -> int:
    """The bits of its mode that let others in."""
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
        return 0
    return status.st_mode & (_OTHERS if private.is_shared(file.parent) else _GROUP | _OTHERS)


def _shown(changed: Sequence[str], project: Path) -> list[str]:
    return [one.removeprefix(f"{project}/") for one in changed]
