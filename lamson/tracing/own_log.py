"""Entries of our own log: events of a mail, and other lines that begin with its id.

In each form in which it is written (`log_format`): lines of text, objects of JSON, and entries of
the journal of systemd as journalctl(1) gives them, be they our own or lines of our standard error.
Those of former versions are read as well: a field that is not known is shown as it is.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from lamson.tracing.event import Event
from lamson.tracing.postfix_log import QUEUED

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")
_LINE = re.compile(
    rf"(?P<at>{_TIME.pattern}) (?:(?P<level>[A-Z]+) [\w.]+: )?(?P<said>.*)", re.DOTALL
)
_SAID = re.compile(r"(?:(?P<event>[a-z_-]+) )?id=(?P<id>\S+?):?(?: |$)(?P<text>.*)", re.DOTALL)
_FIELD = re.compile(r'([a-z_]+)=("(?:\\.|[^"\\])*"|[^\s"]*)(?:\s|$)')
# The last member, and the one that may be too long. In a string the quotes would be escaped.
_EXCEPTION = b', "exception": '
_OF_JSON = {"time", "level", "logger", "message", "id", "exception"}
_OF_ENTRY = {"id", "event", "logger"}
_EVENTS = "lamson.mail"  # the logger of events
_OURS = "LAMSON_"  # begins the names of our fields in the journal
_LEVELS = {"2": "CRITICAL", "3": "ERROR", "4": "WARNING", "6": "INFO", "7": "DEBUG"}


def parse(line: bytes) -> Event | None:
    """What happened to a mail; None for a line that is about none, or was cut off."""
    if not line.startswith(b"{"):
        return _of_text(line.decode("utf-8", "backslashreplace"))
    said = _object(line)
    if "__REALTIME_TIMESTAMP" in said:
        return _of_journal(said)
    return _of_json(said)


def _of_text(line: str) -> Event | None:
    found = _LINE.match(line)
    at = None if found is None else _moment(found["at"])
    if found is None or at is None:
        return None
    return _said(at, found["level"] or "", found["said"])


def _said(at: float, level: str, text: str) -> Event | None:
    """Of a line without its time."""
    found = _SAID.match(text)
    if found is None:
        return None
    if found["event"] is None:
        return Event("lamson", at, found["id"], level, found["text"])
    fields = {name: _value(value) for name, value in _FIELD.findall(found["text"])}
    return replace(_event(at, found["id"], found["event"], fields), text=found["text"])


def _of_json(said: dict[str, Any]) -> Event | None:
    at = _moment(str(said.get("time", "")))
    message = str(said.get("message", ""))
    if at is None:
        return None
    if said.get("logger") != _EVENTS:
        return _said(at, str(said.get("level", "")), message)
    fields = {name: str(value) for name, value in said.items() if name not in _OF_JSON}
    return _event(at, str(said.get("id", "")), message, fields)


def _of_journal(entry: dict[str, Any]) -> Event | None:
    """Of an entry with fields of ours; else of the line of text or JSON that it is."""
    try:
        micros = int(entry["__REALTIME_TIMESTAMP"])
        at = datetime.fromtimestamp(micros / 1_000_000, UTC).timestamp()
    except (TypeError, ValueError, OverflowError, OSError):
        return None
    own = {
        name.removeprefix(_OURS).lower(): _text(value)
        for name, value in entry.items()
        if name.startswith(_OURS)
    }
    message = _text(entry.get("MESSAGE"))
    if not own:
        return parse(message.encode("utf-8", "surrogatepass"))
    if own.get("logger") != _EVENTS:
        return _said(at, _LEVELS.get(str(entry.get("PRIORITY")), ""), message)
    fields = {name: value for name, value in own.items() if name not in _OF_ENTRY}
    return _event(at, own.get("id", ""), own.get("event", ""), fields)


def _event(at: float, id: str, event: str, fields: dict[str, str]) -> Event:
    leads = []
    if event == "submitted":
        leads = [(id, one) for one in QUEUED.findall(fields.get("reply", ""))[-1:]]
    return Event("lamson", at, id, event, "", fields, tuple(leads))


def _object(line: bytes) -> dict[str, Any]:
    """{} where it is none. One that is too long was cut off in its traceback."""
    for text in (line, line.partition(_EXCEPTION)[0] + b"}"):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict):
            return found
    return {}


def _text(value: object) -> str:
    """Of a field of the journal: what is not UTF-8 or printable is a list of octets, and what is
    too long null."""
    if isinstance(value, list):
        try:
            return bytes(value).decode("utf-8", "backslashreplace")
        except (TypeError, ValueError):
            return ""
    return value if isinstance(value, str) else ""


def _moment(text: str) -> float | None:
    if _TIME.fullmatch(text) is None:
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return None


def _value(text: str) -> str:
    if not text.startswith('"'):
        return text
    try:
        return text[1:-1].replace('\\"', '"').encode("ascii").decode("unicode_escape")
    except (UnicodeError, ValueError):
        return text[1:-1]
