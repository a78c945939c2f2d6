"""Failpoints: named places at which a test lets a process die, or has something go wrong.

Off unless code of a test installs one in the process; otherwise each is one test of a variable of
this module. Nothing outside the process, such as its environment, can bring it about.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

AFTER_BEGIN = "after-begin"
AFTER_SEEN = "after-seen"
AFTER_HANDLER = "after-handler"
BEFORE_COMMIT = "before-commit"
AFTER_COMMIT = "after-commit"
AFTER_FIRST_REPLY = "after-first-reply"
AFTER_SUBMISSION = "after-submission"
AFTER_TAKE = "after-take"

ACTIVE = False

_name = ""
_passes_left = 1
_tokens: Path | None = None
_strike: Callable[[], None] | None = None


def install(
    name: str,
    *,
    passes: int = 1,
    tokens: Path | None = None,
    strike: Callable[[], None] | None = None,
) -> None:
    """From now on, let this process die at the failpoint ``name``, the time number ``passes``; or
    call ``strike`` there.

    With ``tokens`` it dies only after it could remove one file from that directory, so that a test
    decides how often the failpoint strikes over all processes.
    """
    global ACTIVE, _name, _passes_left, _tokens, _strike
    ACTIVE, _name, _passes_left, _tokens, _strike = True, name, passes, tokens, strike


def remove() -> None:
    """Let nothing happen at any failpoint any more."""
    global ACTIVE, _name, _strike
    ACTIVE, _name, _strike = False, "", None


def reach(name: str) -> None:
    """Die here by SIGKILL when ``name`` is the installed failpoint and it is due."""
    global _passes_left
    if name != _name:
        return
    _passes_left -= 1
    if _passes_left > 0 or (_tokens is not None and not _take_token(_tokens)):
        return
    if _strike is not None:
        _strike()
        return
    os.kill(os.getpid(), signal.SIGKILL)


def _take_token(tokens: Path) -> bool:
    for token in tokens.iterdir():
        with suppress(FileNotFoundError):
            token.unlink()
            return True
    return False
