r"""Dialogues: files that show what a client says, what it is answered, and what came of it.

A file is read line by line::

    # what it is about
    set max_size 100        a limit of connection.Limits, or max_buffered
    hello                   greeting and LHLO, as every client begins
    C: MAIL FROM:<a@b.c>    the client sends this line; CRLF is added
    C- MAIL FROM:           the same, nothing is added
    S: 250 2.1.0 Ok         the server answers this line
    D: a@b.c -> d@e.f       the dispatcher was handed a message: sender, recipients
    B: text                 a line of its content (CRLF added; B- adds nothing)
    P: name=x addr=y        its peer, where not unknown
    closed                  the server has closed the session

Client lines that follow each other are sent in one piece. All that the server has said by then must
stand in the S lines behind them. ``\r \n \t \0 \xNN \\`` are octets, ``{A*1000}`` repeats.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lamson_lmtp.connection import Limits
from lamson_lmtp.session import Budget
from tests.unit.lmtp.fakes import FakeDispatcher, converse, make_session, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

GREETING = b"220 mail.example LMTP ready\r\n"
_LINE = re.compile(r"([CSDBP])([:-]) ?(.*)|(hello|closed)|set (\w+) (\d+)", re.DOTALL)
_REPEAT = re.compile(r"\{(\\x..|\\.|[^*}])+\*(\d+)\}")
_ESCAPE = re.compile(rb"\\(x[0-9a-f]{2}|.)")
_ESCAPES = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"0": b"\0", b"\\": b"\\"}


@dataclass
class Delivered:
    """A message that the file says was handed over."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes = b""
    peer: dict[str, str] = field(default_factory=dict)


@dataclass
class Step:
    """What is sent in one piece, and all that comes of it."""

    where: str
    sent: bytes = b""
    answered: bytes = b""
    delivered: list[Delivered] = field(default_factory=list)
    closed: bool = False


@dataclass
class Dialogue:
    settings: dict[str, int]
    steps: list[Step]


def read(path: Path) -> Dialogue:
    """Raises ValueError for a line that is none of the above."""
    settings: dict[str, int] = {}
    steps = [Step(f"{path.name}:0", answered=GREETING)]
    answering = True
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise ValueError(f"{path.name}:{number}: not a line of a dialogue: {line!r}")
        kind, end, text, word, key, value = match.groups()
        step = steps[-1]
        content = octets(text or "") + (b"\r\n" if end == ":" else b"")
        if key:
            settings[key] = int(value)
        elif word == "hello":
            steps += [Step(f"{path.name}:{number}", b"LHLO client.example\r\n", _hello(settings))]
            answering = True
        elif word == "closed":
            step.closed = True
        elif kind == "C":
            if answering:
                steps.append(Step(f"{path.name}:{number}"))
            steps[-1].sent += content
            answering = False
            continue
        elif kind == "S":
            step.answered += content
        elif kind == "D":
            sender, _, recipients = text.partition(" -> ")
            names = tuple(recipients.split(", "))
            step.delivered.append(Delivered("" if sender == "<>" else sender, names))
        elif kind == "B":
            step.delivered[-1].content += content
        elif kind == "P":
            step.delivered[-1].peer = dict(word.split("=", 1) for word in text.split(" "))
        answering = True
    return Dialogue(settings, steps)


def play(dialogue: Dialogue, cut: Callable[[bytes], Iterable[bytes]]) -> None:
    """Have the dialogue, each piece cut up by ``cut``. AssertionError where it goes otherwise."""
    settings = dict(dialogue.settings)
    budget = Budget(settings.pop("max_buffered", 1 << 30))
    dispatcher = FakeDispatcher()
    session = make_session(dispatcher, limits=Limits(**settings), budget=budget)
    for step in dialogue.steps:
        answered = run(session)
        for piece in cut(step.sent):
            answered += converse(session, piece)
        assert answered.decode("latin-1").splitlines() == (
            step.answered.decode("latin-1").splitlines()
        ), step.where
        assert answered == step.answered, step.where
        assert list(_delivered(dispatcher)) == step.delivered, step.where
        dispatcher.messages.clear()
        assert session.closed == step.closed, step.where
    assert budget.used <= budget.limit


def _delivered(dispatcher: FakeDispatcher) -> Iterator[Delivered]:
    for message in dispatcher.messages:
        peer = message.envelope.peer
        told = {name: getattr(peer, name) for name in peer.__slots__ if getattr(peer, name)}
        yield Delivered(message.envelope.sender, message.envelope.recipients, message.content, told)


def _hello(settings: dict[str, int]) -> bytes:
    size = settings.get("max_size", Limits().max_size)
    return (
        b"250-mail.example\r\n250-PIPELINING\r\n250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n"
        b"250-SMTPUTF8\r\n250-SIZE %d\r\n"
        b"250 XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE\r\n" % size
    )


def octets(text: str) -> bytes:
    """What a line stands for: escapes as octets, repetitions at length."""
    repeated = _REPEAT.sub(lambda match: match[0][1:].rpartition("*")[0] * int(match[2]), text)
    return _ESCAPE.sub(
        lambda match: _ESCAPES.get(match[1]) or bytes([int(match[1][1:], 16)]), repeated.encode()
    )
