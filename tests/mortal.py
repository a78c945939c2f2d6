"""Child processes that do not outlive the tests, even where those are killed."""

from __future__ import annotations

import subprocess


class Guard:
    """Ends the process ``pid`` (SIGTERM) when this process is gone before `release` was called.

    A shell waits at a pipe whose other end closes with us; it stands in a session of its own, so
    that whoever kills ours leaves it alone.
    """

    def __init__(self, pid: int) -> None:
        self._shell = subprocess.Popen(
            ["sh", "-c", 'read line || kill "$1"', "guard", str(pid)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def release(self) -> None:
        """Forget about the process: it is ended in the usual way."""
        self._shell.communicate(b"\n")
