"""The servers that are measured: each is started on a port, counts what it accepted, and is ended.

`Peer` is what measure.py needs of one. A peer that cannot run here says why (`unavailable`).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

from tests.bench import process, projects
from tests.bench.counter import Counter
from tests.mortal import Guard
from tests.service import LamsonService
from tests.waiting import free_port, listening, wait_for

ROOT = Path(__file__).parents[2]
SALMON_PYTHON = ROOT / ".bench" / "salmon" / "bin" / "python"


class Peer:
    """One server. ``counts`` says what `count` counts: messages, or deliveries (recipients)."""

    name: ClassVar[str]
    counts: ClassVar[str] = "deliveries"
    answers: ClassVar[bool] = False  # a reply is submitted for each delivery
    slow_start: ClassVar[float] = 1.0  # how much longer it is measured, where connecting is slow

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        directory.mkdir(exist_ok=True)

    @classmethod
    def unavailable(cls) -> str | None:
        """Why this peer cannot run here; None where it can."""
        return None

    def start(self) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        raise NotImplementedError

    def count(self) -> int:
        """How many messages or deliveries it has accepted since its start."""
        raise NotImplementedError

    def replies(self) -> int:
        """How many replies have arrived at its submission server, where it sends some."""
        return 0

    def pid(self) -> int:
        raise NotImplementedError

    def cpu(self) -> float:
        """CPU seconds used since its start, by all its processes."""
        return process.cpu_seconds(self.pid())


class _Child(Peer):
    """A peer that is one child process; its standard output goes to a file."""

    _process: subprocess.Popen[bytes] | None = None
    _guard: Guard | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> None:
        with (
            (self.directory / "output").open("wb") as output,
            (self.directory / "errors").open("wb") as errors,
        ):
            process = self._process = subprocess.Popen(
                self.command(),
                cwd=self.directory,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdout=output,
                stderr=errors,
            )
        self._guard = Guard(process.pid)
        wait_for(lambda: process.poll() is not None or listening(self.port), f"{self.name} listens")
        if process.poll() is not None:
            reason = (self.directory / "errors").read_text()
            raise RuntimeError(f"{self.name} does not start: {reason}")

    def stop(self) -> None:
        if self._guard is not None:
            self._guard.release()
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def pid(self) -> int:
        assert self._process is not None, "not started"
        return self._process.pid


class SmtpSink(_Child):
    """Postfix's smtp-sink: a C program that throws mail away. The floor of what mail can cost."""

    name = "smtp-sink"
    counts = "messages"
    protocol: ClassVar[tuple[str, ...]] = ("-L",)

    @classmethod
    def unavailable(cls) -> str | None:
        return None if shutil.which("smtp-sink") else "smtp-sink is not installed"

    def command(self) -> list[str]:
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        return ["smtp-sink", *self.protocol, "-c", *user, f"127.0.0.1:{self.port}", "500"]

    def count(self) -> int:
        # With -c it writes "sess=1 quit=0 mesg=17\r" at every change.
        path = self.directory / "output"
        with path.open("rb") as output:
            output.seek(max(0, path.stat().st_size - 200))
            counted = output.read().rpartition(b"mesg=")[2].strip()
        return int(counted or 0)


class Submission(SmtpSink):
    """smtp-sink as the submission server that takes the replies of another peer."""

    name = "submission"
    protocol = ()


class _Python(_Child):
    """A peer that is a Python program of servers/, with a counter."""

    module: ClassVar[str]
    arguments: ClassVar[tuple[str, ...]] = ()
    python: ClassVar[str] = sys.executable

    def command(self) -> list[str]:
        counter = self.directory / "counter"
        self._counter = Counter(counter, create=True)
        program = f"tests.bench.servers.{self.module}"
        return [self.python, "-m", program, str(self.port), "counter", *self.arguments]

    def count(self) -> int:
        return self._counter.value


class Aiosmtpd(_Python):
    """aiosmtpd's LMTP class, empty handler."""

    name = "aiosmtpd"
    module = "empty_aiosmtpd"


class Obvious(_Python):
    """aiosmtpd, the standard library's parser, one SQLAlchemy transaction of two rows."""

    name = "obvious"
    module = "obvious"


class Salmon(_Python):
    """Salmon's LMTP receiver, empty handler, logging as in a generated project.

    It listens with a backlog of five: with ten sessions some wait a second for their connection.
    """

    name = "salmon"
    slow_start = 5.0
    module = "empty_salmon"
    python = str(SALMON_PYTHON)

    @classmethod
    def unavailable(cls) -> str | None:
        if SALMON_PYTHON.exists():
            return None
        return "salmon-mail is not installed in .bench/salmon"


class SilentSalmon(Salmon):
    """The same without its log."""

    name = "salmon silent"
    arguments = ("silent",)


class Lamson(Peer):
    """The real service with a stateless handler that does nothing, and no database."""

    name = "lamson"
    handlers: ClassVar[str] = projects.NOTHING
    database: ClassVar[str | None] = None

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._project = projects.write(directory / "project", self.handlers, self.database)
        self._service = LamsonService(self._project, **self.environment())
        self.port = self._service.port
        self._handled = 0
        self._offset = 0

    def start(self) -> None:
        if self.database is not None:
            self._service.command("syncdb")
        self._service.start()

    def environment(self) -> dict[str, str]:
        return {}

    def stop(self) -> None:
        self._service.stop()

    def pid(self) -> int:
        return self._service.pid

    def count(self) -> int:
        # The log has one line for each delivery that was handled.
        with (self._project / "logs" / "lamson.log").open("rb") as log:
            log.seek(self._offset)
            text = log.read()
        whole = text.rfind(b"\n") + 1
        self._offset += whole
        self._handled += text[:whole].count(b" handled id=")
        return self._handled


class LamsonDurable(Lamson):
    """The real service: what was seen, a state and one reply in one transaction, on SQLite FULL."""

    name = "lamson durable"
    handlers = projects.DURABLE
    database = "sqlite:///run/lamson.db"
    answers = True

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self._submission = Submission(directory / "submission")
        super().__init__(directory)

    def environment(self) -> dict[str, str]:
        return {"LAMSON_SUBMISSION__SERVER": f"127.0.0.1:{self._submission.port}"}

    def start(self) -> None:
        self._submission.start()
        super().start()

    def stop(self) -> None:
        super().stop()
        self._submission.stop()

    def replies(self) -> int:
        return self._submission.count()


def install_salmon() -> None:
    """Make the virtual environment with salmon-mail, if it is missing and the network is there."""
    if SALMON_PYTHON.exists():
        return
    directory = SALMON_PYTHON.parents[1]
    try:
        subprocess.run([sys.executable, "-m", "venv", str(directory)], check=True)
        subprocess.run(
            [str(SALMON_PYTHON), "-m", "pip", "install", "-q", "salmon-mail"],
            check=True,
            timeout=300,
        )
    except (subprocess.SubprocessError, OSError) as error:
        print(f"salmon-mail cannot be installed: {error}", file=sys.stderr)
        shutil.rmtree(directory, ignore_errors=True)
