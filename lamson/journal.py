"""Lines for the journal of systemd, each with its priority in front (sd-daemon(3)).

For whatever writes to standard error under systemd: `journalctl --priority=err` finds errors then.
Elsewhere, as on a terminal or in a container's log, lines stay as they are.
"""

from __future__ import annotations

import logging
import os

# syslog(3): LOG_CRIT, LOG_ERR, …
_PRIORITIES = {
    logging.CRITICAL: 2,
    logging.ERROR: 3,
    logging.WARNING: 4,
    logging.INFO: 6,
    logging.DEBUG: 7,
}


def is_read_by(descriptor: int) -> bool:
    """Whether what is written there goes straight to the journal.

    The variable alone proves nothing: a child has it too, wherever its output goes. It names
    device and inode of what systemd has connected (systemd.exec(5), ``$JOURNAL_STREAM``).
    """
    named = os.environ.get("JOURNAL_STREAM", "")
    try:
        status = os.fstat(descriptor)
    except OSError:
        return False
    return named == f"{status.st_dev}:{status.st_ino}"


def marked(lines: str, level: int) -> str:
    """The lines, with their priority: the journal makes an entry of each."""
    mark = f"<{_PRIORITIES.get(level, 5)}>"
    body = lines.removesuffix("\n")
    return mark + body.replace("\n", f"\n{mark}") + lines[len(body) :]
