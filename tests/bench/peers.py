"""The servers beside which Lamson is measured; Dovecot has a module of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import ClassVar

from tests.bench.counter import Counter
from tests.bench.peer import ROOT, Child

SALMON_PYTHON = ROOT / ".bench" / "salmon" / "bin" / "python"


class SmtpSink(Child):
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


class Python(Child):
    """A peer that is a Python program of servers/, with a counter."""

    module: ClassVar[str]
    arguments: tuple[str, ...] = ()
    python: ClassVar[str] = sys.executable

    def command(self) -> list[str]:
        counter = self.directory / "counter"
        self._counter = Counter(counter, create=True)
        program = f"tests.bench.servers.{self.module}"
        return [self.python, "-m", program, str(self.port), "counter", *self.arguments]

    def count(self) -> int:
        return self._counter.value


class Aiosmtpd(Python):
    """aiosmtpd's LMTP class, empty handler."""

    name = "aiosmtpd"
    module = "empty_aiosmtpd"


class Obvious(Python):
    """aiosmtpd, the standard library's parser, one SQLAlchemy transaction of two rows."""

    name = "obvious"
    module = "obvious"


class Salmon(Python):
    """Salmon's LMTP receiver, empty handler, logging as in a generated project.

    It listens with a backlog of five: where connections are many, some wait a second for theirs.
    """

    name = "salmon"
    loads = frozenset({"10 sessions"})
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
