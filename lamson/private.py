"""What other users of the machine must not read, write, or put in our way.

For whatever opens a file of ours in a place that was open to others, or runs what lies there.
Trusted are the user of this process and root; where sudo made us root, also who typed that, as git
has it. What cannot be trusted is a LamsonError of one line (EX_NOPERM) that says whose it is and
what to do; nothing has been opened, run or signalled then.
"""

from __future__ import annotations

import errno
import os
import pwd
import resource
import stat
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lamson.errors import LamsonError

if TYPE_CHECKING:
    from collections.abc import Iterator

UMASK = 0o077
_MOST_LINKS = 8  # that are followed, one to the next
_STICKY_OR_OTHERS = stat.S_ISVTX | stat.S_IWOTH
_users_umask: int | None = None


def close_process() -> None:
    """What this process and its children write is for its user alone; none leaves a core dump.

    The hard limit on core dumps stays, so that whoever looks for a fault can raise it again.
    PR_SET_DUMPABLE would close more, and its own /proc/self/fd to a process as well.
    """
    global _users_umask
    _users_umask = os.umask(UMASK)
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))


@contextmanager
def shared() -> Iterator[None]:
    """For what is nobody's secret, such as the source of a project: as the user's umask has it."""
    before = os.umask(UMASK)
    os.umask(before if _users_umask is None else _users_umask)
    try:
        yield
    finally:
        os.umask(before)


def trusted_users() -> set[int]:
    """User ids whose files we read and whose code we run."""
    users = {0, os.geteuid()}
    asker = os.environ.get("SUDO_UID", "")
    if os.geteuid() == 0 and asker.isdecimal():
        users.add(int(asker))
    return users


def open_file(path: Path, flags: int, mode: int = 0o600) -> int:
    """`os.open` that follows no symbolic link which another user made.

    Nor does it take a file that another user made where we expect our own. Raises OSError. Devices
    and pipes, such as /dev/stdout, may be anybody's.
    """
    descriptor = _open(path, flags | os.O_CLOEXEC, mode, _MOST_LINKS)
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and status.st_uid not in trusted_users():
        os.close(descriptor)
        raise PermissionError(errno.EPERM, f"it belongs to {owner(status)}", str(path))
    return descriptor


def _open(path: Path, flags: int, mode: int, links: int) -> int:
    if path.is_relative_to("/proc"):  # its links are no paths: the kernel follows them
        return os.open(path, flags, mode)
    try:
        return os.open(path, flags | os.O_NOFOLLOW, mode)
    except OSError as error:
        if error.errno != errno.ELOOP or not links:
            raise
    try:
        link = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:  # it went away meanwhile
        return _open(path, flags, mode, links - 1)
    try:
        # The link that is looked at is the one that is read: nobody can exchange it in between.
        status = os.fstat(link)
        if status.st_uid not in trusted_users():
            problem = f"it is a symbolic link of {owner(status)}; remove it"
            raise PermissionError(errno.EPERM, problem, str(path))
        target = os.readlink("", dir_fd=link)
    finally:
        os.close(link)
    return _open(path.parent / target, flags, mode, links - 1)


@contextmanager
def as_owner_of(directory: Path) -> Iterator[None]:
    """Do what is done as whoever the directory belongs to, where this is root and he is not.

    For commands that root runs though they open files in there: what he put in their place, such
    as a link, leads no further than he may go himself. Rights are those of a whole process, so one
    with several threads, as a service is, keeps its own.
    """
    try:
        status = directory.stat()
    except OSError:  # it is not there, or no directory: whoever opens the file says so
        yield
        return
    if os.geteuid() != 0 or status.st_uid == 0 or threading.active_count() > 1:
        yield
        return
    groups, group = os.getgroups(), os.getegid()
    try:
        theirs = pwd.getpwuid(status.st_uid).pw_gid
    except KeyError:
        theirs = status.st_uid  # nobody's, most likely; root's it is not
    os.setgroups([])
    os.setegid(theirs)
    os.seteuid(status.st_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)


def is_shared(directory: Path) -> bool:
    """Its group shares it on purpose: somebody has set the setgid bit."""
    return bool(directory.stat().st_mode & stat.S_ISGID)


def owner(status: os.stat_result) -> str:
    """Whose it is, for people."""
    return f"user {user(status.st_uid)}"


def user(number: int) -> str:
    """The name of a user, or his number where he has none."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def become(status: os.stat_result) -> str:
    """What root puts before a command to run it as the owner.

    A user without a name, as whose files a container shows, is none for runuser(1).
    """
    try:
        return f"runuser -u {pwd.getpwuid(status.st_uid).pw_name} --"
    except KeyError:
        return f"setpriv --reuid={status.st_uid} --regid={status.st_gid} --clear-groups --"


def flaw(status: os.stat_result) -> str:
    """Why somebody who is not trusted can change this; nothing where nobody can.

    The group of a team may write to what belongs to one of its members. Where we are root, only
    the group of root may.
    """
    if status.st_uid not in trusted_users():
        return f"it belongs to {owner(status)}"
    if stat.S_ISLNK(status.st_mode):
        return ""
    if status.st_mode & stat.S_IWOTH:
        return "everybody can write to it"
    if status.st_mode & stat.S_IWGRP and os.geteuid() == 0 and status.st_gid != 0:
        return "its group can write to it, and this is root"
    return ""


def check_place(path: Path) -> None:
    """Raise LamsonError where another user can exchange the file ``path``.

    The file itself and each directory above it must be `flaw`-less; a directory in which everybody
    has to leave the files of others alone (the sticky bit) will do.
    """
    path = Path(os.path.realpath(path))
    for one in (path, *path.parents):
        status = os.lstat(one)
        is_shared = one != path and status.st_mode & _STICKY_OR_OTHERS == _STICKY_OR_OTHERS
        if (problem := flaw(status)) and not (is_shared and status.st_uid in trusted_users()):
            raise LamsonError(
                f"{one}: {problem}, so {path} is not to be trusted; nothing was done",
                exit_code=os.EX_NOPERM,
            )
