"""Another user of the machine, who wants to know what is none of his business."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PYTHON = "/usr/bin/python3"  # that of the tests may lie where he has no entry
TIMEOUT = 30.0  # seconds for one thing that he tries


class Neighbour:
    """Runs programs as a user who owns nothing of ours; `place` is a directory of his own."""

    def __init__(self, user: str, place: Path) -> None:
        self.user = user
        self.place = place

    def run(self, argv: Sequence[str], text: str = "") -> subprocess.CompletedProcess[str]:
        """What came of a program; its exit code is for the test to judge."""
        return subprocess.run(
            argv,
            user=self.user,
            group="nogroup",
            extra_groups=(),
            cwd=self.place,
            input=text,
            text=True,
            capture_output=True,
            timeout=TIMEOUT,
            check=False,
        )

    def python(self, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The same for a piece of Python, with the ``arguments`` in `sys.argv[1:]`."""
        return self.run([PYTHON, "-I", "-c", code, *arguments])

    def popen(self, code: str, *arguments: str) -> subprocess.Popen[str]:
        """A piece of Python that goes on, so as to hold something; the test has to end it."""
        return subprocess.Popen(
            [PYTHON, "-I", "-c", code, *arguments],
            user=self.user,
            group="nogroup",
            extra_groups=(),
            cwd=self.place,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
