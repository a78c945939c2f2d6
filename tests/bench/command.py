"""What a command costs that needs no heavy library: CPU seconds of `lamson help`."""

from __future__ import annotations

import resource
import subprocess
import sys


def measure(arguments: tuple[str, ...] = ("help",), runs: int = 7) -> list[float]:
    """CPU seconds (user and system) of `lamson ARGUMENTS`, once for each run."""
    seconds = []
    for _ in range(runs):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, "-m", "lamson", *arguments], check=True, stdout=subprocess.DEVNULL
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(
            after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime,
        )
    return seconds
