"""Bind a listening socket from its name in the settings, and name a bound socket.

For the supervisor, which binds before it forks, and for `lamson log`. An address that cannot be had
raises UnavailableError, which names it and says what to do; nothing is left behind then.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import socket
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from lamson import private
from lamson.errors import SettingsError, UnavailableError
from lamson.net.endpoint import is_loopback, join_host_port, split_host_port

if TYPE_CHECKING:
    from collections.abc import Iterator

PROBE_TIMEOUT = 2.0  # seconds in which a server on an existing socket file has to answer


def bind(
    listen: str, *, mode: int = 0o660, group: str | None = None, backlog: int = 512
) -> socket.socket:
    """A listening, non-blocking socket for ``host:port``, ``[::1]:port`` or ``unix:path``.

    ``mode`` and ``group`` (a name) are for the file of a unix socket. A file left by a server that
    is gone is removed first; one on which somebody answers is not. Port 0 takes any free port.
    Raises UnavailableError where the address cannot be had, SettingsError where ``listen`` is none.
    """
    if listen.startswith("unix:") and len(listen) > len("unix:"):
        sock = _bind_unix(Path(listen[len("unix:") :]), mode, group, backlog)
    else:
        sock = _bind_tcp(listen)
        sock.listen(backlog)
    sock.setblocking(False)
    return sock


def describe(sock: socket.socket) -> str:
    """The name of a bound socket, in the form that `bind` takes."""
    address = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return f"unix:{os.fsdecode(address)}"
    return join_host_port(*address[:2])


def _bind_tcp(listen: str) -> socket.socket:
    try:
        host, port = split_host_port(listen)
    except ValueError:
        raise SettingsError(
            f"{listen!r}: expected host:port, [IPv6 address]:port or unix:path"
        ) from None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:  # such as mail..example
        raise UnavailableError(
            f"cannot listen on {listen}: no address is known for {host!r}"
        ) from error
    if is_loopback(host) and not is_loopback(str(address[0])):
        raise UnavailableError(
            f"cannot listen on {listen}: {host!r} is {address[0]} here, which is no loopback"
            " address; say which one you mean"
        )
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
    except OSError as error:
        sock.close()
        raise UnavailableError(_explain(listen, error)) from error
    return sock


def _bind_unix(path: Path, mode: int, group: str | None, backlog: int) -> socket.socket:
    listen = f"unix:{path}"
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    is_bound = False
    try:
        with _alone_in(path.parent):
            _remove_stale(path)
            # Nobody may connect before the mode is what it should be.
            umask = os.umask(0o777)
            try:
                sock.bind(os.fspath(path))
            finally:
                os.umask(umask)
            is_bound = True
            sock.listen(backlog)
        if group is not None:
            _give(path, group)
        path.chmod(mode)
    except (OSError, LookupError) as error:
        sock.close()
        if is_bound:
            path.unlink()
        is_denied = isinstance(error, OSError) and error.errno == errno.EPERM
        code = os.EX_NOPERM if is_denied else os.EX_UNAVAILABLE
        raise UnavailableError(_explain(listen, error), exit_code=code) from error
    return sock


def _give(path: Path, group: str) -> None:
    """A user who is not root gives files to his own groups only (chown(2))."""
    try:
        shutil.chown(path, group=group)
    except PermissionError as error:
        user = private.user(os.geteuid())
        raise PermissionError(
            error.errno,
            f"{user} is not in the group {group}; as root: usermod -aG {group} {user}, and start it"
            " anew, from a new login",
        ) from error


@contextlib.contextmanager
def _alone_in(directory: Path) -> Iterator[None]:
    """While no other start binds a socket there: one that does not listen yet looks stale."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _remove_stale(path: Path) -> None:
    """Remove the socket file of a server that is gone. Raises OSError where it is in use."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise FileExistsError(errno.EEXIST, "it exists and is not a socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(PROBE_TIMEOUT)
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except TimeoutError:
            pass  # somebody is there, and busy
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def _explain(listen: str, error: OSError | LookupError) -> str:
    problem = f"cannot listen on {listen}"
    if not isinstance(error, OSError):
        return f"{problem}: {error}"
    if error.errno == errno.EADDRINUSE:
        return f"{problem}: it is in use; stop the server that has it, or choose another"
    if error.errno == errno.EACCES:
        return f"{problem}: permission denied; ports below 1024 need root, a path its directory"
    return f"{problem}: {error.strerror or error}"
