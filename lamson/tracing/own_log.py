"""Lines of our own log: events of a mail, and other lines that begin with its id.

Those of former versions are read as well: a field that is not known is shown as it is.
"""

from __future__ import annotations

import re
from datetime import datetime

from lamson.tracing.event import Event
from lamson.tracing.postfix_log import QUEUED

_LINE = re.compile(
    r"(?P<at>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)) "
    r"(?:(?P<level>[A-Z]+) [\w.]+: )?(?:(?P<event>[a-z_]+) )?id=(?P<id>\S+)(?: |$)(?P<text>.*)",
    re.DOTALL,
)
_FIELD = re.compile(r'([a-z_]+)=("(?:\\.|[^"\\])*"|[^\s"]*)(?:\s|$)')


def parse(line: bytes) -> Event | None:
    """What happened to a mail; None for a line that is about none, or was cut off."""
    found = _LINE.match(line.decode("utf-8", "backslashreplace"))
    if found is None:
        return None
    try:
        at = datetime.fromisoformat(found["at"]).timestamp()
    except (ValueError, OverflowError):
        return None
    if found["event"] is None:
        return Event("lamson", at, found["id"], found["level"] or "", found["text"])
    fields = {name: _value(value) for name, value in _FIELD.findall(found["text"])}
    leads = []
    if found["event"] == "submitted":
        leads = [(found["id"], one) for one in QUEUED.findall(fields.get("reply", ""))[-1:]]
    return Event("lamson", at, found["id"], found["event"], found["text"], fields, tuple(leads))


def _value(text: str) -> str:
    if not text.startswith('"'):
        return text
    try:
        return text[1:-1].replace('\\"', '"').encode("ascii").decode("unicode_escape")
    except (UnicodeError, ValueError):
        return text[1:-1]
