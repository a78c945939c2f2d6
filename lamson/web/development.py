"""What the window can do besides while one develops: `lamson dev` makes one of these."""

from __future__ import annotations

import re
import threading
from collections import deque
from dataclasses import dataclass, field
from itertools import dropwhile
from typing import TYPE_CHECKING, Literal

from lamson.message.compose import prepend_headers
from lamson.message.message import Message
from lamson.smtp import address
from lamson.smtp.reply import NO_SUCH_RECIPIENT
from lamson.web.shelves import REPLY

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    from lamson.storage.maildir import Maildir
    from lamson.web.writing import Answered, Hand

Mood = Literal["accept", "refuse", "delay", "bounce"]
MOODS: tuple[Mood, ...] = ("accept", "refuse", "delay", "bounce")
_MOST_FAULTS = 50
_NO_ROUTE = f"{NO_SUCH_RECIPIENT.code} {NO_SUCH_RECIPIENT.enhanced}"
_PLACE = re.compile(r'File "([^"\n]+)", line (\d+)|(?<![\w./-])([\w./-]+\.\w+):(\d+)')
_TOP = re.compile(r"\S+ (?:ERROR|CRITICAL) \S+: |lamson: ")  # of a line of the log, or of a command
_TRACEBACK = "Traceback (most recent call last):"
_MOST_MESSAGE = 2000  # characters
_AROUND = 3  # lines of the code that are shown before and after


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that went wrong in the code: what, where, and the lines around it. ``message`` is
    what the exception says, of all the ``text``."""

    number: int
    at: float
    text: str
    message: str = ""
    place: str = ""  # file:line, in the project
    lines: tuple[tuple[int, str, bool], ...] = ()  # number, text, whether it is the one


class Faults:
    """The newest errors of the service. For any thread."""

    def __init__(self, project: Path) -> None:
        self._project = project
        self._faults: deque[Fault] = deque(maxlen=_MOST_FAULTS)
        self._lock = threading.Lock()
        self._count = 0

    def add(self, text: str, at: float) -> Fault:
        """Note what the service said of an error, with its traceback."""
        file, line = self._place(text)
        with self._lock:
            self._count += 1
            place = f"{file.relative_to(self._project)}:{line}" if file else ""
            message = _message(text).replace(f"{self._project}/", "").removeprefix(f"{place}: ")
            fault = Fault(
                self._count, at, text, message[:_MOST_MESSAGE], place, _around(file, line)
            )
            self._faults.append(fault)
        return fault

    def all(self) -> list[Fault]:
        """Newest first."""
        with self._lock:
            return list(reversed(self._faults))

    @property
    def count(self) -> int:
        """How many there ever were."""
        return self._count

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()

    def _place(self, text: str) -> tuple[Path | None, int]:
        """The innermost line of the project that it names."""
        found: tuple[Path | None, int] = None, 0
        for match in _PLACE.finditer(text):
            file = (self._project / (match[1] or match[3])).resolve()
            if self._project in file.parents and file.is_file():
                found = file, int(match[2] or match[4])
        return found


def _message(text: str) -> str:
    """What the exception says that came last; else what the first line does, from the place on."""
    lines = text.splitlines() or [""]
    tops = [number for number, line in enumerate(lines) if line.lstrip() == _TRACEBACK]
    if tops:
        below = lines[tops[-1] + 1 :]
        indent = lines[tops[-1]].partition("T")[0]
        said = dropwhile(lambda line: line.startswith(f"{indent} "), below)
        if message := "\n".join(line.removeprefix(indent) for line in said).strip():
            return message
    first = _TOP.sub("", lines[0], count=1)
    place = _PLACE.search(first)
    return (first[place.start() :] if place is not None else first).strip()


def _around(file: Path | None, line: int) -> tuple[tuple[int, str, bool], ...]:
    if file is None:
        return ()
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ()
    first = max(line - _AROUND, 1)
    shown = lines[first - 1 : line + _AROUND]
    return tuple((number, text, number == line) for number, text in enumerate(shown, first))


@dataclass(slots=True)
class Development:
    """``hand`` gives mail to the service, ``came`` keeps what was given, with its replies.

    ``mood`` is what the catching server does with what the application sends; ``state`` says how
    the service is. What ``has`` says of a Message-ID and a recipient that it stands in the journal
    is not kept besides.
    """

    hand: Hand
    came: Maildir
    faults: Faults
    state: Callable[[], str]
    mood: Mood = "accept"
    moods: tuple[Mood, ...] = field(default=MOODS)
    has: Callable[[str, str], bool] | None = None

    def deliver(
        self,
        sender: str,
        recipients: Sequence[str],
        content: bytes,
        copied: Collection[str] = (),
    ) -> list[Answered]:
        """Hand a mail over and keep it. Raises UnavailableError, and keeps nothing then.

        Who has a copy (``copied``), no route and another domain than those it is to is somebody of
        elsewhere: his own mail server has it, and the application is not said to refuse it.
        """
        answers = list(self.hand(sender, recipients, content))
        here = {address.split(one)[1].lower() for one in recipients if one not in copied}
        elsewhere = {
            one.recipient
            for one in answers
            if one.recipient in copied
            and address.split(one.recipient)[1].lower() not in here
            and f"{one.code} {one.text}".startswith(_NO_ROUTE)
        }
        answers = [one for one in answers if one.recipient not in elsewhere]
        recipients = [one for one in recipients if one not in elsewhere]
        by_recipient = {one.recipient: one for one in answers}
        if self.has is not None:
            id, has = Message(content).message_id or "", self.has
            recipients = [one for one in recipients if not has(id, one)]
            if not recipients:
                return answers
        fields = [("Return-Path", f"<{sender}>")]
        fields += [("Delivered-To", one) for one in recipients]
        for one in recipients:
            if (answer := by_recipient.get(one)) is not None:
                fields.append((REPLY, f"{answer.code} {answer.text}"[:400]))
        self.came.push(prepend_headers(content, fields).replace(b"\r\n", b"\n"))
        return answers
