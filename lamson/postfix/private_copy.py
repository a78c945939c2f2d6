"""A copy of Postfix's configuration, run by a Postfix of its own that is asked and does nothing.

For `lamson.postfix.proof`. It has directories of its own for configuration, queue, data and log,
and listens on unix sockets that root and Postfix reach, on no port; see `isolation` for what it
runs. Nothing of the running Postfix is written to or told. It ends with the ``with`` that began it,
also where a signal ends this process, and by itself after `LIFETIME`. Where it cannot be made or
started, LamsonError says why.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lamson.errors import LamsonError, UnavailableError
from lamson.postfix import apply, isolation
from lamson.postfix.plan import TABLE
from lamson.postfix.postconf import Postconf

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import FrameType

    from lamson.postfix.configuration import Configuration
    from lamson.postfix.plan import Change

LIFETIME = 600  # seconds
_START = 20.0  # seconds until it answers
_END = 5.0  # seconds until its processes have ended
_POLL = 0.02
_PLACES = ("config_directory", "queue_directory", "data_directory")
_USUAL = frozenset((
    "active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "maildrop",
    "pid", "private", "public", "saved", "trace", "dev", "etc", "lib", "usr",
))  # fmt: skip
"""What every queue directory has, and what a chroot has of the system."""
_ENDING = (signal.SIGTERM, signal.SIGHUP)


class _Copied(Postconf):
    """Of a directory to which nobody else writes: its files need not be two seconds old."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._copy = directory

    def _run(self, *arguments: str) -> str:
        _age(self._copy)
        return super()._run(*arguments)


def _age(directory: Path) -> None:
    """Postfix waits until a file that may still be being written is two seconds old."""
    for path in directory.iterdir():
        os.utime(path, (0, 0))


@contextmanager
def place() -> Iterator[Path]:
    """A directory for copies, which is gone afterwards, also where a signal ends this process.

    Raises LamsonError where this is not root.
    """
    if os.geteuid() != 0:
        raise LamsonError(
            "only root can run the copy of Postfix that is asked first", exit_code=os.EX_NOPERM
        )
    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {one: signal.signal(one, _ended) for one in _ENDING}
    directory = Path(tempfile.mkdtemp(prefix="lamson-proof-"))
    directory.chmod(0o711)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        for number, handler in before.items():
            signal.signal(number, handler)


def _ended(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


class PrivateCopy:
    """The configuration with these changes made. ``base`` is a directory yet to be made.

    ``smtpds`` are the sockets of its smtpd services, by their keys in master.cf; those that would
    answer alike have one together. ``left_out`` are restrictions that it does without.
    """

    def __init__(self, base: Path, origin: Configuration, changes: Sequence[Change]) -> None:
        self._base, self._etc, self._queue = base, base / "etc", base / "queue"
        self._master: subprocess.Popen[bytes] | None = None
        try:
            self._lay_out(origin)
        except KeyError as error:
            raise UnavailableError(f"Postfix's user or group is missing: {error}") from None
        except OSError as error:
            raise UnavailableError(f"{base}: {error.strerror}: {error.filename}") from None
        postconf = _Copied(self._etc)
        apply.perform(postconf, [self._here(one, changes) for one in changes])
        there = postconf.read()
        isolated = isolation.of(there, base)
        self._program = f"{there.values['daemon_directory']}/master"
        self.smtpds = {key: self._socket(name) for key, name in isolated.smtpds.items()}
        self.left_out = isolated.left_out
        postconf.set(isolated.main)
        (self._etc / "master.cf").write_text(isolated.master)
        _age(self._etc)

    @property
    def rewrite(self) -> Path:
        """The socket of trivial-rewrite(8)."""
        return self._socket("rewrite")

    def _socket(self, name: str) -> Path:
        return self._queue / "private" / name

    def _lay_out(self, origin: Configuration) -> None:
        values = origin.values
        owner = pwd.getpwnam(values["mail_owner"])
        dropping = grp.getgrnam(values["setgid_group"])
        for name, mode, user, group in (
            (".", 0o710, 0, owner.pw_gid),
            ("etc", 0o755, 0, 0),
            ("queue", 0o755, 0, 0),
            ("queue/pid", 0o755, 0, 0),
            ("queue/private", 0o700, owner.pw_uid, 0),
            ("queue/incoming", 0o700, owner.pw_uid, 0),
            ("queue/public", 0o2710, owner.pw_uid, dropping.gr_gid),
            ("data", 0o700, owner.pw_uid, 0),
        ):
            path = self._base / name
            path.mkdir()
            os.chown(path, user, group)
            path.chmod(mode)
        self._link(
            Path(values["queue_directory"]), {one.partition("/")[0] for one in origin.services}
        )
        places = {name: values[name] for name in _PLACES} | {
            "config_directory": str(origin.directory)
        }
        for name in ("main.cf", "master.cf"):
            text = (origin.directory / name).read_text(errors="surrogateescape")
            (self._etc / name).write_text(named(text, places), errors="surrogateescape")
            (self._etc / name).chmod(0o644)

    def _link(self, queue: Path, services: set[str]) -> None:
        """Sockets of others that lie in the queue directory are reached by the same names."""
        for directory, known in ((queue, _USUAL), (queue / "private", services)):
            with suppress(FileNotFoundError, NotADirectoryError):
                for path in directory.iterdir():
                    if path.name not in known:
                        (self._queue / path.relative_to(queue)).symlink_to(path)

    def _here(self, change: Change, changes: Sequence[Change]) -> Change:
        """The same for the copy: tables that are made lie in its directory."""
        if change.file == TABLE:
            return replace(change, name=self._table(change.name))
        after = change.after
        for table in (one.name for one in changes if one.file == TABLE):
            after = after.replace(table, self._table(table))
        return replace(change, after=after)

    def _table(self, there: str) -> str:
        return str(self._base / Path(there).name)

    def __enter__(self) -> PrivateCopy:
        environment = {**os.environ, "MAIL_CONFIG": str(self._etc), "LC_ALL": "C"}
        try:
            self._master = subprocess.Popen(
                [self._program, "-c", str(self._etc), "-e", str(LIFETIME)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            raise UnavailableError(f"{self._program}: {error.strerror}") from None
        return self

    def wait(self) -> None:
        """Return once it can be asked. Raises UnavailableError where it does not start."""
        assert self._master is not None
        until = time.monotonic() + _START
        needed = (self.rewrite, *self.smtpds.values())
        while not all(path.exists() for path in needed):
            if self._master.poll() is not None or time.monotonic() > until:
                problem = self.complaint() or "it does not say why"
                raise UnavailableError(f"a copy of this Postfix does not start: {problem}")
            time.sleep(_POLL)

    def complaint(self) -> str:
        """What its log says last of what is wrong; nothing where it says nothing."""
        with suppress(OSError):
            lines = (self._base / "maillog").read_text(errors="replace").splitlines()
            for level in ("fatal:", "panic:", "error:", "warning:"):
                if found := [line for line in lines if level in line]:
                    return found[-1].partition("]: ")[2]
        return ""

    def __exit__(self, *exception: object) -> None:
        """Ends the master and, by the number of their group, all that it has started."""
        assert self._master is not None
        master, until = self._master, time.monotonic() + _END
        if master.poll() is None:
            master.terminate()
            while os.waitid(os.P_PID, master.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                if time.monotonic() > until:
                    break
                time.sleep(_POLL)
            # It is not waited for yet, so that the number is still its own.
            with suppress(ProcessLookupError):
                os.killpg(master.pid, signal.SIGKILL)
        master.wait()


def named(text: str, places: Mapping[str, str]) -> str:
    """With the directories that the copy has otherwise as the original has them."""
    for name, was in places.items():
        expression = rf"\$(\{{{name}\}}|\({name}\)|{name}\b)"
        text = re.sub(expression, was.replace("\\", r"\\"), text)
    return text
