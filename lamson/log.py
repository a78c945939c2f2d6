"""The log: one line for each event in the life of a mail, and the usual Python log for the rest.

A line names the event, the mail (by Postfix's queue id, so that one ``grep`` shows its way through
both programs) and what is known, as ``key=value``. Lines wait in memory until `flush`, which the
dispatcher and front ends call once for all that they did at one go; nothing waits longer than a
second. Where no file is configured, events go to the logger ``lamson.mail``. Nothing from a mail
can forge a line: what is not printable is escaped, and every line of a text but its first, such as
those of a traceback, is indented. What goes straight from standard error to the journal of systemd
says in front of each line how important it is. The file is for its user alone, and no link that
another user made is followed to it. A log that cannot be written (a full disk) stops no mail: its
lines are lost.

For programs that read it, each line is an object of JSON, or each goes to the journal of systemd as
an entry with fields (the setting ``log_format``).
"""

from __future__ import annotations

import codecs
import json
import logging
import logging.handlers
import os
import re
import sys
import threading
import time
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TextIO

from lamson import journald, private

if TYPE_CHECKING:
    from collections.abc import Callable
    from io import TextIOWrapper
    from types import TracebackType

logger = logging.getLogger("lamson")
_mail_logger = logging.getLogger("lamson.mail")

_FORMAT = "%(asctime)s.%(msecs)03d+00:00 %(levelname)s %(name)s: %(message)s"
_DATE_FORMAT = "%Y-%m-%dT%H:%M:%S"
_INDENT = "    "  # of every line but the first of a text
_LONGEST = 1000  # characters of a line that are shown, for exceptions quote what they did not like
_MOST_LINES = 200

codecs.lookup("unicode_escape")  # now: to import it takes a descriptor, and later none may be left

Format = Literal["text", "json", "journald"]


class Journal(Protocol):
    """What takes entries: `lamson.net.journald.Journal`. Both may raise OSError."""

    def send(self, entry: bytes) -> None: ...

    def close(self) -> None: ...


_waiting: list[Any] = []  # lines; with "journald", entries
_handler: _EventFile | _EventStream | _EventJournal | None = None
_render: Callable[[str, str, dict[str, object]], Any] | None = None  # None where it is text
_ABOUT = re.compile(r"id=(\S+)(?: recipient=(\S+?))?: ")  # how lines begin that are about one mail
_is_journal = False  # what reads our standard error
_stamp = ""  # the time as it is written, of the millisecond between these two
_stamp_begins = _stamp_ends = 0.0


def event(name: str, id: str, /, **fields: object) -> None:
    """Note that ``name`` happened to the mail called ``id``. Fields that are None are left out."""
    if _render is not None:
        _waiting.append(_render(name, id, fields))
        return
    line = _line(name, id, fields)
    if _handler is None:
        _mail_logger.info("%s", line)
    else:
        now = time.time()
        if not _stamp_begins <= now < _stamp_ends:
            _make_stamp(now)
        _waiting.append(f"{_stamp} {line}\n")


def _line(name: str, id: str, fields: dict[str, object]) -> str:
    line = f"{name} id={id}"
    for key, value in fields.items():
        if value is not None:
            line += f" {key}={value if type(value) is int else _shown(str(value))}"
    return line


def _object(name: str, id: str, fields: dict[str, object]) -> str:
    """An event as JSON. What is not ASCII is escaped, and so is every end of a line."""
    now = time.time()
    if not _stamp_begins <= now < _stamp_ends:
        _make_stamp(now)
    said = _fields(id, fields)
    head = {"time": _stamp, "level": "INFO", "logger": "lamson.mail", "message": name}
    return json.dumps(said | head) + "\n"


def _entry(name: str, id: str, fields: dict[str, object]) -> bytes:
    """An event for the journal, whose message reads as a line of the file does."""
    said = {"event": name, "logger": "lamson.mail", **_fields(id, fields)}
    return journald.entry(_line(name, id, fields), logging.INFO, said)


def _fields(id: str, fields: dict[str, object]) -> dict[str, object]:
    return {"id": id} | {
        key: value if type(value) is int else str(value)[:_LONGEST]
        for key, value in fields.items()
        if value is not None
    }


def flush() -> None:
    """Write the events that wait. Safe to call from any thread; cheap when there are none."""
    if _waiting and _handler is not None:
        _handler.write_events()


def configure(
    path: Path | None,
    *,
    level: str = "INFO",
    console: bool = False,
    format: Format = "text",
    connect: Callable[[], Journal] | None = None,
) -> None:
    """Send everything to the file at ``path`` and, for people and containers, to standard error.

    The file may be renamed by logrotate at any time. ``level`` is for everything but mail events,
    which are always written. With the ``format`` "journald" all goes to what ``connect`` gives
    instead; where it raises OSError, it is as with "text", and a line at ERROR says so. Raises
    OSError when the file cannot be opened.
    """
    global _handler, _is_journal, _render
    _is_journal = journald.is_read_by(2)
    logging.raiseExceptions = False
    formatter: logging.Formatter = Formatter(_FORMAT, _DATE_FORMAT)
    handlers: list[logging.Handler] = []
    _handler = _render = None
    problem = ""
    if format == "journald" and connect is not None:
        try:
            _handler = _EventJournal(connect())
            _render = _entry
        except OSError as error:
            problem = f"the journal cannot be reached ({error.strerror})"
    if _handler is not None:
        pass
    elif path is not None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _handler = _EventFile(path, console=console)
    elif console:
        _handler = _EventStream()
    if _handler is not None:
        handlers.append(_handler)
    if path is not None and console and _render is None:
        handlers.append(_Console())
    if format == "json" and _handler is not None:
        formatter, _render = JsonFormatter(), _object
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
        with suppress(OSError):
            old.close()
    for handler in handlers:
        handler.setFormatter(formatter)
        root.addHandler(handler)
    root.setLevel(level)
    # Libraries below WARNING would drown our own lines.
    for name in ("aiosmtplib", "asyncio", "sqlalchemy", "alembic", "mail.log"):
        logging.getLogger(name).setLevel(logging.WARNING)
    if problem:
        logger.error('log_format is "journald", and %s: the log is text', problem)


def take_in_the_rest() -> None:
    """Log what Python would write to standard error by itself, as it stands: exceptions that
    nobody caught, in any thread, and warnings."""

    def uncaught(
        kind: type[BaseException], error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and not issubclass(kind, SystemExit | KeyboardInterrupt):
            logger.error("not caught", exc_info=(kind, error, trace))

    def ignored(one: Any) -> None:
        logger.error("%s", one.err_msg or "ignored", exc_info=one.exc_value)

    sys.excepthook = uncaught
    sys.unraisablehook = ignored
    threading.excepthook = lambda one: uncaught(one.exc_type, one.exc_value, one.exc_traceback)
    logging.captureWarnings(True)


def harmless(text: str) -> str:
    """The text in lines that cannot be taken for ours; the first is left where it is."""
    first, *rest = text.rstrip("\n").split("\n")
    if len(rest) > _MOST_LINES:
        rest[_MOST_LINES // 2 : -_MOST_LINES // 2] = ["..."]
    return f"\n{_INDENT}".join(map(_escaped, (first, *rest)))


def _escaped(line: str) -> str:
    if len(line) > _LONGEST:
        line = f"{line[:_LONGEST]}... ({len(line)} characters)"
    if line.isprintable():
        return line
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in line
    )


class Formatter(logging.Formatter):
    """A line as ours are; what follows it is indented."""

    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        return harmless(super().format(record))


class JsonFormatter(logging.Formatter):
    """A record as an object of JSON in one line."""

    def format(self, record: logging.LogRecord) -> str:
        seconds, milliseconds = divmod(int(record.created * 1000), 1000)
        said: dict[str, object] = {
            "time": f"{_second(seconds)}.{milliseconds:03d}+00:00",
            "level": record.levelname,
            "logger": record.name,
            "message": harmless(record.getMessage()),
        }
        return json.dumps(said | _about(record) | _raised(record))


def _about(record: logging.LogRecord) -> dict[str, object]:
    """The mail that a record is about, where it begins with that."""
    found = _ABOUT.match(record.getMessage()[:_LONGEST])
    names = ("id", "recipient")
    return {} if found is None else {k: v for k, v in zip(names, found.groups(), strict=True) if v}


def _raised(record: logging.LogRecord) -> dict[str, object]:
    """The traceback of a record, bounded as all texts are."""
    if not record.exc_info or record.exc_info[0] is None:
        return {}
    return {"exception": harmless(logging.Formatter().formatException(record.exc_info))}


def named(error: BaseException) -> str:
    """An exception in a line. An error of decoding would show all that was to be decoded."""
    text = str(error) if isinstance(error, UnicodeError) else ""
    return f"{type(error).__name__}: {text}" if text else repr(error)


def _take() -> str:
    # Appending is atomic, so what another thread adds meanwhile is taken now or next time.
    count = len(_waiting)
    lines = "".join(_waiting[:count])
    del _waiting[:count]
    return lines


class _EventFile(logging.handlers.WatchedFileHandler):
    """A log file that also takes the waiting events, in the order in which things happened."""

    def __init__(self, path: Path, *, console: bool) -> None:
        super().__init__(path, encoding="utf-8", errors="backslashreplace")
        self._console = console

    def _open(self) -> TextIOWrapper:
        path = Path(self.baseFilename)
        descriptor = private.open_file(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        with suppress(OSError):  # it is not ours to change
            if not os.fstat(descriptor).st_size and private.is_shared(path.parent):
                os.fchmod(descriptor, 0o640)
        return open(descriptor, "a", encoding=self.encoding, errors=self.errors)

    def emit(self, record: logging.LogRecord) -> None:
        self.write_events()
        with suppress(OSError):
            super().emit(record)

    def write_events(self) -> None:
        self.acquire()
        try:
            if not _waiting:
                return
            lines = _take()
            with suppress(OSError):
                self.reopenIfNeeded()
                if self.stream is None:  # it could not be opened before
                    self.stream = self._open()
                self.stream.write(lines)
                self.stream.flush()
            if self._console:
                _show(lines)
        finally:
            self.release()


class _EventJournal(logging.Handler):
    """The journal of systemd, for records and events alike."""

    def __init__(self, to: Journal) -> None:
        super().__init__()
        self._journal = to

    def emit(self, record: logging.LogRecord) -> None:
        self.write_events()
        said = {"logger": record.name} | _about(record) | _raised(record)
        with suppress(OSError):
            self._journal.send(journald.entry(harmless(record.getMessage()), record.levelno, said))

    def write_events(self) -> None:
        self.acquire()
        try:
            count = len(_waiting)
            entries = _waiting[:count]
            del _waiting[:count]
            for one in entries:
                with suppress(OSError):
                    self._journal.send(one)
        finally:
            self.release()

    def close(self) -> None:
        self._journal.close()
        super().close()


class _Console(logging.StreamHandler[TextIO]):
    """Standard error."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)

    def format(self, record: logging.LogRecord) -> str:
        lines = super().format(record)
        return journald.marked(lines, record.levelno) if _is_journal else lines


class _EventStream(_Console):
    """Standard error alone, with the waiting events."""

    def emit(self, record: logging.LogRecord) -> None:
        self.write_events()
        super().emit(record)

    def write_events(self) -> None:
        self.acquire()
        try:
            if _waiting:
                _show(_take())
        finally:
            self.release()


def _show(events: str) -> None:
    with suppress(OSError):
        sys.stderr.write(journald.marked(events, logging.INFO) if _is_journal else events)


def _make_stamp(now: float) -> None:
    global _stamp, _stamp_begins, _stamp_ends
    milliseconds = int(now * 1000)
    _stamp = f"{_second(milliseconds // 1000)}.{milliseconds % 1000:03d}+00:00"
    _stamp_begins, _stamp_ends = milliseconds / 1000, (milliseconds + 1) / 1000


@lru_cache(maxsize=1)
def _second(seconds: int) -> str:
    return time.strftime(_DATE_FORMAT, time.gmtime(seconds))


@lru_cache(maxsize=1024)  # addresses, handlers and replies, the same ones again and again
def _shown(text: str) -> str:
    if text and " " not in text and text.isprintable():
        return text
    return '"' + text.encode("unicode_escape").decode("ascii").replace('"', '\\"') + '"'
