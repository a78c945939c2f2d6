r"""Dialogues of the socketmap: what Postfix asks, and what it is told.

A file is read line by line::

    # what it is about
    routed one@app.test     there is a route for this address
    broken two@app.test     looking for a route for it fails
    holds app.test          this domain is ours
    C: recipient a@b.c      Postfix sends this as a netstring
    C- 11:recipient a       the same octets as they stand
    S: OK routed            the answer, a netstring too
    closed                  what was sent is no netstring: we close the connection

Requests that follow each other are sent in one piece. All that is answered by then must stand in
the S lines behind them. ``\r \n \t \0 \xNN \\`` are octets, ``{A*1000}`` repeats.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lamson_lmtp.socketmap.answers import LIMIT, Socketmap
from lamson_lmtp.socketmap.netstring import NetstringError, Netstrings, encode
from tests.protocol.dialogue import octets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

NEXT_HOP = "lmtp:inet:[127.0.0.1]:8823"
_LINE = re.compile(r"([CS])([:-]) ?(.*)|(routed|broken|holds) (\S+)|(closed)", re.DOTALL)


@dataclass
class Step:
    """What is sent in one piece, and what is answered."""

    where: str
    sent: bytes = b""
    answered: list[bytes] = field(default_factory=list)
    closed: bool = False


@dataclass
class Dialogue:
    routed: set[str]
    broken: set[str]
    holds: set[str]
    steps: list[Step]

    def route(self, address: str) -> bool:
        if address in self.broken:
            raise RuntimeError(address)
        return address in self.routed


def read(path: Path) -> Dialogue:
    """Raises ValueError for a line that is none of the above."""
    known: dict[str, set[str]] = {"routed": set(), "broken": set(), "holds": set()}
    steps: list[Step] = []
    answering = True
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None or (match[1] == "S" and not steps):
            raise ValueError(f"{path.name}:{number}: not a line of a dialogue: {line!r}")
        kind, end, text, what, name, closed = match.groups()
        if what:
            known[what].add(name)
        elif kind == "C":
            if answering:
                steps.append(Step(f"{path.name}:{number}"))
            steps[-1].sent += encode(octets(text)) if end == ":" else octets(text)
            answering = False
        else:
            answering = True
            if kind == "S":
                steps[-1].answered.append(octets(text))
            steps[-1].closed = bool(closed)
    return Dialogue(**known, steps=steps)


def play(dialogue: Dialogue, cut: Callable[[bytes], Iterable[bytes]]) -> None:
    """Have the dialogue, each piece cut up by ``cut``. AssertionError where it goes otherwise."""
    socketmap = Socketmap(dialogue.route, dialogue.holds.__contains__, NEXT_HOP)
    netstrings = Netstrings(LIMIT)
    for step in dialogue.steps:
        closed = False
        answered = []
        try:
            for piece in cut(step.sent):
                netstrings.receive(piece)
        except NetstringError:
            closed = True
        while (request := netstrings.take()) is not None:
            answered.append(socketmap.answer(request))
        assert answered == step.answered, step.where
        assert closed == step.closed, step.where
