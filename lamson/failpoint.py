"""Failpoints: named places at which a test lets a process die.

Off unless ``LAMSON_FAILPOINT=name`` (die there the first time) or ``name:N`` (the Nth time) is in
the environment when the process starts; otherwise each is one test of a module constant. With
``LAMSON_FAILPOINT_DIR`` set, a process dies only after it could remove one file from that
directory, so that a test decides how often the failpoint strikes over all processes.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

_name, _, _count = os.environ.get("LAMSON_FAILPOINT", "").partition(":")
_tokens = os.environ.get("LAMSON_FAILPOINT_DIR", "")
_passes_left = int(_count or 1)

ACTIVE = bool(_name)

AFTER_BEGIN = "after-begin"
AFTER_SEEN = "after-seen"
AFTER_HANDLER = "after-handler"
BEFORE_COMMIT = "before-commit"
AFTER_COMMIT = "after-commit"
AFTER_FIRST_REPLY = "after-first-reply"
AFTER_SUBMISSION = "after-submission"


def reach(name: str) -> None:
    """Die here by SIGKILL when ``name`` is the active failpoint and it is due."""
    global _passes_left
    if name != _name:
        return
    _passes_left -= 1
    if _passes_left > 0 or (_tokens and not _take_token()):
        return
    os.kill(os.getpid(), signal.SIGKILL)


def _take_token() -> bool:
    for token in Path(_tokens).iterdir():
        with suppress(FileNotFoundError):
            token.unlink()
            return True
    return False
