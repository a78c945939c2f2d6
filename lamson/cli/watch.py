"""Watching the files of a project, for `lamson dev`: which of them changed since the last look.

By looking at their times, some times a second: that needs no help of the system, and works on every
file system. Only files that a service may read are looked at, and none below `run`, `logs`, hidden
directories or virtual environments.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_SKIPPED = {"__pycache__", "node_modules", "run", "logs", "tests", "build", "dist", "site"}
_ENDINGS = (".py", ".txt", ".html", ".htm", ".md", ".mjml", ".json", ".css", ".mako", ".toml")
_MOST = 20_000  # files


class Watch:
    """The files below some directories, as they were at the last look."""

    def __init__(self, directories: Iterable[Path]) -> None:
        self._directories = list(dict.fromkeys(directories))
        self._known = dict(self._look())

    def changed(self) -> list[str]:
        """The paths of those that are new, gone or written anew since the last look."""
        now = dict(self._look())
        before, self._known = self._known, now
        if now == before:
            return []
        return sorted(
            path for path in now.keys() | before.keys() if now.get(path) != before.get(path)
        )

    def _look(self) -> Iterator[tuple[str, tuple[int, int]]]:
        left = [str(one) for one in self._directories]
        number = 0
        while left:
            try:
                entries = list(os.scandir(left.pop()))
            except OSError:  # it went away in between
                continue
            if any(entry.name == "pyvenv.cfg" for entry in entries):
                continue
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    if entry.name not in _SKIPPED:
                        left.append(entry.path)
                elif entry.name.endswith(_ENDINGS) or "/secrets/" in entry.path:
                    try:
                        status = entry.stat()
                    except OSError:
                        continue
                    number += 1
                    if number > _MOST:
                        return
                    yield entry.path, (status.st_mtime_ns, status.st_size)
