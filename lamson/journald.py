"""The journal of systemd: lines with their priority in front, and entries with fields.

Lines (sd-daemon(3)) are for whatever writes to standard error under systemd: `journalctl
--priority=err` finds errors then. Elsewhere, as on a terminal or in a container's log, they stay as
they are. Entries (systemd's native journal protocol) are for the log, where `log_format` says so.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

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


def entry(message: str, level: int, fields: Mapping[str, object]) -> bytes:
    """One entry of the journal; the names of ``fields`` become those of ours, in capitals.

    A value is whatever it is: its length stands before it where it has more than one line, so that
    none can be taken for another field.
    """
    priority = _PRIORITIES.get(level, 5)
    parts = [_field("MESSAGE", message), _field("PRIORITY", str(priority))]
    parts.append(_field("SYSLOG_IDENTIFIER", "lamson"))
    parts += [_field(f"LAMSON_{name.upper()}", str(value)) for name, value in fields.items()]
    return b"".join(parts)


def _field(name: str, value: str) -> bytes:
    octets = value.encode("utf-8", "backslashreplace")
    if b"\n" not in octets:
        return name.encode() + b"=" + octets + b"\n"
    return name.encode() + b"\n" + len(octets).to_bytes(8, "little") + octets + b"\n"
