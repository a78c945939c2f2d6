"""A real Postfix of one's own, for tests: own configuration, queue, data, log, and high ports.

Needs root and Postfix's programs, neither its system configuration nor a running instance.
It ends its own master alone, by process id. When it does not start, the error holds the log.
"""

from __future__ import annotations

import grp
import json
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.postfix import config
from tests.server_process import ServerProcess
from tests.waiting import free_port, listening, wait_for

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

# directory under the queue, mode, and whether it belongs to the group postdrop (postfix-files(5))
_QUEUE_DIRECTORIES = {
    "active": (0o700, False),
    "bounce": (0o700, False),
    "corrupt": (0o700, False),
    "defer": (0o700, False),
    "deferred": (0o700, False),
    "flush": (0o700, False),
    "hold": (0o700, False),
    "incoming": (0o700, False),
    "maildrop": (0o1730, True),
    "private": (0o700, False),
    "public": (0o2710, True),
    "saved": (0o700, False),
    "trace": (0o700, False),
}


def why_not() -> str | None:
    """Why no private Postfix can be run here; None where it can."""
    if os.geteuid() != 0:
        return "a private Postfix needs root"
    if shutil.which("postconf") is None:
        return "Postfix is not installed (Debian: apt-get install postfix)"
    if config.default_of("maillog_file") is None:
        return "this Postfix is older than 3.4 and cannot write a log file of its own"
    return None


class PostfixInstance:
    """One Postfix.

    ``sink_port`` is where all mail goes that is not for a domain in ``routes`` (domain ->
    transport, such as ``lmtp:inet:[127.0.0.1]:8823``). ``main`` overrides main.cf; ``incoming`` and
    ``submission`` override main.cf for one of the two smtpd services (TLS and SASL go in there).
    """

    def __init__(
        self,
        *,
        sink_port: int,
        routes: Mapping[str, str],
        main: Mapping[str, str] | None = None,
        incoming: Mapping[str, str] | None = None,
        submission: Mapping[str, str] | None = None,
    ) -> None:
        # Not pytest's tmp_path: the mail owner has to reach it, and unix socket paths are short.
        self.base = Path(tempfile.mkdtemp(prefix="lamson-postfix-", dir="/tmp"))
        self.base.chmod(0o755)
        self.sink_port = sink_port
        self.routes = dict(routes)
        self.main = dict(main or {})
        self.smtp_port = free_port()
        self.submission_port = free_port()
        self._incoming = config.INCOMING | dict(incoming or {})
        self._submission = config.SUBMISSION | dict(submission or {})
        self._master = ServerProcess("Postfix", self.base / "output", log=self.log_text)
        self._lay_out()
        self.write_config()

    @property
    def pid(self) -> int:
        """The master's process id."""
        return self._master.pid

    def _lay_out(self) -> None:
        owner, group = pwd.getpwnam("postfix").pw_uid, grp.getgrnam("postdrop").gr_gid
        for name in ("etc", "queue", "queue/pid"):
            (self.base / name).mkdir(mode=0o755)
        for name, (mode, dropping) in _QUEUE_DIRECTORIES.items():
            path = self.base / "queue" / name
            path.mkdir()
            os.chown(path, owner, group if dropping else 0)
            path.chmod(mode)
        (self.base / "data").mkdir(mode=0o700)
        os.chown(self.base / "data", owner, 0)

    def write_config(self) -> None:
        """Write main.cf, master.cf and the transport map, which `reload` makes Postfix read."""
        etc = self.base / "etc"
        (etc / "main.cf").write_text(
            config.main_cf(self.base, f"[127.0.0.1]:{self.sink_port}", self.routes, self.main)
        )
        (etc / "master.cf").write_text(
            config.master_cf(
                config.smtpd_service(self.smtp_port, self._incoming),
                config.smtpd_service(self.submission_port, self._submission),
            )
        )
        (etc / "transport").write_text(config.transport_map(self.routes))
        past = time.time() - 10
        for path in etc.iterdir():
            # Postfix waits two seconds before it trusts a file that may still be being written.
            os.utime(path, (past, past))

    def start(self) -> Self:
        """Start, and return when both ports accept connections."""
        daemons = config.default_of("daemon_directory")
        self._master.start(
            [f"{daemons}/master", "-c", str(self.base / "etc")],
            lambda: all(map(listening, (self.smtp_port, self.submission_port))),
            env=self._environment(),
        )
        return self

    def stop(self) -> None:
        """End this Postfix. The queue stays as it is, for a later `start`."""
        if self._master.stop() is None:
            return
        # Its children end after it, and have the ports until then.
        wait_for(
            lambda: not any(map(listening, (self.smtp_port, self.submission_port))),
            "the ports of Postfix to be free",
        )

    def close(self) -> None:
        """Stop, and remove every file."""
        self.stop()
        shutil.rmtree(self.base)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def reload(self) -> None:
        """Have the running Postfix read its configuration again."""
        self._master.send_signal(signal.SIGHUP)

    def flush(self) -> None:
        """Try every deferred message now."""
        self.run("postqueue", "-f")

    def retry(self, queue_id: str) -> None:
        """Try one deferred message now."""
        self.run("postqueue", "-i", queue_id)

    def queue(self) -> list[dict[str, Any]]:
        """What is queued, as `postqueue -j` tells it (queue_name, queue_id, recipients, ...)."""
        return [json.loads(line) for line in self.run("postqueue", "-j").splitlines()]

    def wait_empty(self, *, timeout: float = 60.0) -> None:
        """Wait until no message is left in any queue."""
        wait_for(
            lambda: not self.queue(),
            lambda: f"an empty queue: {self.queue()}\n{self.log_text()}",
            timeout=timeout,
        )

    def log_text(self) -> str:
        log = self.base / "maillog"
        return log.read_text(errors="replace") if log.exists() else ""

    def log_lines(self, *parts: str) -> list[str]:
        """The log lines that contain every one of ``parts``."""
        return [
            line for line in self.log_text().splitlines() if all(part in line for part in parts)
        ]

    def wait_log(self, *parts: str, count: int = 1, timeout: float = 60.0) -> list[str]:
        """Wait for ``count`` log lines that contain every one of ``parts``; returns them all."""
        return wait_for(
            lambda: found if len(found := self.log_lines(*parts)) >= count else [],
            lambda: f"{count} log lines with {parts}:\n{self.log_text()}",
            timeout=timeout,
        )

    def run(self, command: str, *arguments: str, stdin: bytes = b"") -> str:
        """Run one of Postfix's commands (postqueue, postsuper, sendmail) on this instance."""
        path = shutil.which(command) or f"/usr/sbin/{command}"
        done = subprocess.run(
            [path, *arguments], input=stdin, capture_output=True, env=self._environment()
        )
        if done.returncode:
            raise AssertionError(f"{command} {arguments}: {done.stderr.decode(errors='replace')}")
        return done.stdout.decode()

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "MAIL_CONFIG": str(self.base / "etc"), "LC_ALL": "C"}
