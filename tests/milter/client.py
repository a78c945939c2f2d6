"""A client that speaks the milter protocol as Postfix's smtpd and cleanup do, for tests.

It keeps to what was negotiated: what the milter does not want is not sent, what it does not answer
is not waited for. Source: Postfix's milter8.c, Sendmail's include/libmilter/mfdef.h.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

ACTIONS = 0x1FF
STEPS = 0x1FFFFF

# command -> (bit for "do not send", bit for "is not answered")
_COMMANDS = {
    b"C": (0x1, 0x1000),
    b"H": (0x2, 0x2000),
    b"M": (0x4, 0x4000),
    b"R": (0x8, 0x8000),
    b"T": (0x200, 0x10000),
    b"L": (0x20, 0x80),
    b"N": (0x40, 0x40000),
    b"B": (0x10, 0x80000),
}
SKIP = 0x400
LEADING_SPACE = 0x100000
_CHUNK = 65535


@dataclass
class Answer:
    """What ended a command: one letter (``c``, ``a``, ``r``, ``t``, ``d``, ``y``, ``s``).

    ``reply`` is the text of a ``y``; ``edits`` are the modifications before it, (letter, data).
    """

    letter: str
    reply: str = ""
    edits: list[tuple[str, bytes]] = field(default_factory=list)

    def added(self) -> dict[str, str]:
        """The header fields that were added or inserted, by name."""
        fields = {}
        for letter, data in self.edits:
            if letter in "hi":
                name, value, _ = (data[4:] if letter == "i" else data).split(b"\0")
                fields[name.decode()] = value.decode()
        return fields


class MilterClient:
    """One connection. ``path`` is of a unix socket, or (host, port)."""

    def __init__(
        self, path: str | tuple[str, int], *, actions: int = ACTIONS, steps: int = STEPS
    ) -> None:
        family = socket.AF_UNIX if isinstance(path, str) else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(100)
        self.socket.connect(path)
        self._buffer = b""
        self._waiting: list[bytes] = []
        self._write(b"O", struct.pack("!III", 6, actions, steps))
        self._flush()
        _, data = self.read()
        version, self.actions, self.steps = struct.unpack("!III", data[:12])
        assert version == 6
        self.symbols = data[12:]

    def __enter__(self) -> MilterClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def quit(self) -> None:
        self._write(b"Q")
        self._flush()
        self.close()

    def macros(self, command: bytes, **values: str) -> None:
        """Macros of a stage; a name of several letters gets its braces."""
        pairs = b"".join(
            (name if len(name) == 1 else f"{{{name}}}").encode() + b"\0" + value.encode() + b"\0"
            for name, value in values.items()
        )
        self._write(b"D", command + pairs)

    def connect(self, name: str = "client.test", address: str = "192.0.2.1") -> Answer | None:
        self.macros(b"C", client_name=name, client_addr=address, client_port="25000")
        data = name.encode() + b"\x004" + struct.pack("!H", 25000) + address.encode() + b"\0"
        return self.command(b"C", data)

    def helo(self, name: bytes = b"client.test") -> Answer | None:
        return self.command(b"H", name + b"\0")

    def mail(self, path: str = "<zed@sender.test>", *parameters: str) -> Answer | None:
        return self.command(b"M", b"".join(one.encode() + b"\0" for one in (path, *parameters)))

    def rcpt(self, path: str = "<one@test.com>", *parameters: str) -> Answer | None:
        return self.command(b"R", b"".join(one.encode() + b"\0" for one in (path, *parameters)))

    def header(self, name: str | bytes, value: bytes) -> Answer | None:
        """``value`` without the space behind the colon."""
        octets = name.encode() if isinstance(name, str) else name
        space = b" " if self.steps & LEADING_SPACE else b""
        return self.command(b"L", octets + b"\0" + space + value + b"\0")

    def body(self, body: bytes) -> Answer | None:
        """The body in chunks, as long as the milter wants more."""
        answer = None
        for at in range(0, len(body), _CHUNK):
            answer = self.command(b"B", body[at : at + _CHUNK])
            if answer is not None and answer.letter == "s":
                break
        return answer

    def end(self, queue_id: str = "") -> Answer:
        if queue_id:
            self.macros(b"E", i=queue_id)
        self._write(b"E")
        return self.answer()

    def abort(self) -> None:
        self._write(b"A")
        self._flush()

    def message(
        self,
        *recipients: str,
        sender: str = "<zed@sender.test>",
        headers: tuple[tuple[str | bytes, bytes], ...] = (("Subject", b"Hello"),),
        body: bytes = b"Hi there.\r\n",
        queue_id: str = "4bYmCz0R3Dz1Xy",
    ) -> Answer:
        """A whole message to recipients that are accepted; gives the last answer."""
        answer = self.mail(sender)
        if answer is not None and answer.letter != "c":
            return answer
        for recipient in recipients or ("<one@test.com>",):
            answer = self.rcpt(recipient)
            if answer is not None and answer.letter != "c":
                return answer
        for name, value in headers:
            self.header(name, value)
        self.command(b"N", b"")
        self.body(body)
        return self.end(queue_id)

    def command(self, letter: bytes, data: bytes) -> Answer | None:
        """One command; its answer, None where it is not wanted or not answered."""
        unwanted, silent = _COMMANDS[letter]
        if self.steps & unwanted:
            return None
        self._write(letter, data)
        return None if self.steps & silent else self.answer()

    def answer(self) -> Answer:
        self._flush()
        edits = []
        while True:
            letter, data = self.read()
            if letter in "him+2-beql":
                edits.append((letter, data))
            elif letter != "p":
                text = data.rstrip(b"\0").decode() if letter == "y" else ""
                return Answer(letter, text, edits)

    def read(self) -> tuple[str, bytes]:
        """One packet. Raises EOFError where the milter has closed the connection."""
        (size,) = struct.unpack("!I", self._exactly(4))
        packet = self._exactly(size)
        return packet[:1].decode(), packet[1:]

    def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            data = self.socket.recv(65536)
            if not data:
                raise EOFError
            self._buffer += data
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    def _write(self, letter: bytes, data: bytes = b"") -> None:
        self._waiting.append(struct.pack("!I", 1 + len(data)) + letter + data)

    def _flush(self) -> None:
        self.socket.sendall(b"".join(self._waiting))
        self._waiting = []
