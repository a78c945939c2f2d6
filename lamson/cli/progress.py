"""How far a command has come, for a person at a terminal: a bar on standard error, else nothing."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def progress(length: int, label: str) -> Iterator[Callable[[int], None]]:
    """Gives what is told how much more was done, of ``length`` in all."""
    if not sys.stderr.isatty() or not length:
        yield lambda done: None
        return
    with click.progressbar(length=length, label=label, file=sys.stderr) as bar:
        yield bar.update
