"""Asking smtpd(8) whether it takes mail for an address, and trivial-rewrite(8) where it goes.

For `lamson.postfix.proof`, over the unix sockets of a copy. No message is ever sent: RCPT is the
last that smtpd hears. Who does not answer raises OSError.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

STRANGER = "192.0.2.1"  # nobody's (RFC 5737)
_PATIENCE = 20.0  # seconds until a process has started
_LOOKUP = 5.0  # seconds for what it is asked
# Bits of what trivial-rewrite says of an address (resolve_clnt.h).
_FAILED = 1 << 3
_ELSEWHERE = 1 << 12


@dataclass(frozen=True, slots=True)
class Reply:
    """What smtpd said to RCPT."""

    code: int
    text: str

    @property
    def kind(self) -> str:
        return {2: "accepted", 4: "deferred"}.get(self.code // 100, "refused")

    def __str__(self) -> str:
        return f"{self.code} {self.text}"


@dataclass(frozen=True, slots=True)
class Way:
    """Where mail for an address goes; ``is_known`` where a lookup did not fail."""

    transport: str
    next_hop: str
    recipient: str
    is_known: bool = True
    is_elsewhere: bool = False  # this Postfix is not responsible for the domain

    def __str__(self) -> str:
        return f"{self.transport}:{self.next_hop}" if self.is_known else "a lookup fails"


class Smtpd:
    """A connection to smtpd: from the world where it ``is_stranger``, else from this machine."""

    def __init__(self, path: Path, *, is_stranger: bool) -> None:
        self._path, self._is_stranger = path, is_stranger
        self._open()

    def _open(self) -> None:
        self._socket, self._given = _connected(self._path)
        self._reply()
        self._say("EHLO lamson-proof.invalid")
        if self._is_stranger:
            self._say(f"XCLIENT NAME=[UNAVAILABLE] ADDR={STRANGER}")
            self._say("EHLO lamson-proof.invalid")
        self._socket.settimeout(_LOOKUP)

    def recipients(self, addresses: Sequence[str]) -> Iterator[Reply]:
        """What it says to each as a recipient of mail from the null sender.

        All are asked at once, so that neither waits for the other. A lookup that takes too long
        has failed, and is the last that is answered; `reopen` before it is asked anew, as also
        where answers are left.
        """
        said = ["RSET", "MAIL FROM:<>", *(f"RCPT TO:<{one}>" for one in addresses)]
        self._socket.sendall("".join(f"{line}\r\n" for line in said).encode())
        try:
            self._reply()
            self._reply()
            for _ in addresses:
                yield self._reply()
        except TimeoutError:
            yield Reply(451, f"no answer within {_LOOKUP:g} s")

    def reopen(self) -> None:
        """Connect anew."""
        self.close()
        self._open()

    def close(self) -> None:
        self._given.close()
        self._socket.close()

    def _say(self, command: str) -> Reply:
        self._socket.sendall(f"{command}\r\n".encode())
        return self._reply()

    def _reply(self) -> Reply:
        texts = []
        while line := self._given.readline():
            text = line.decode("utf-8", "replace").rstrip()
            texts.append(text[4:])
            if text[3:4] != "-" and text[:3].isdigit():
                return Reply(int(text[:3]), " ".join(texts))
        raise ConnectionError("smtpd hung up")


class Rewrite:
    """A connection to trivial-rewrite, in Postfix's protocol of names and values (attr_print0)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._socket, self._given = _connected(path)

    def way(self, address: str) -> Way:
        """What it makes of a recipient. A lookup that takes too long has failed."""
        asked = ("request", "resolve", "sender", "", "address", address)
        try:
            self._socket.sendall(b"".join(one.encode() + b"\0" for one in asked) + b"\0")
            while "transport" not in (found := self._answer()):
                pass  # from Postfix 3.6 on it first says which protocol this is
        except TimeoutError:
            self.close()
            self._socket, self._given = _connected(self._path)
            return Way("", "", "", is_known=False)
        flags = int(found["flags"])
        return Way(
            found["transport"],
            found["nexthop"],
            found["recipient"],
            is_known=not flags & _FAILED,
            is_elsewhere=bool(flags & _ELSEWHERE),
        )

    def close(self) -> None:
        self._given.close()
        self._socket.close()

    def _answer(self) -> dict[str, str]:
        """The last of those with one name, such as "flags"."""
        found = {}
        while name := self._text():
            found[name] = self._text()
        return found

    def _text(self) -> str:
        octets = bytearray()
        while octet := self._given.read(1):
            if octet == b"\0":
                return octets.decode("utf-8", "replace")
            octets += octet
        raise ConnectionError("trivial-rewrite hung up")


def _connected(path: Path) -> tuple[socket.socket, BinaryIO]:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(_PATIENCE)
        connection.connect(str(path))
    except OSError:
        connection.close()
        raise
    return connection, connection.makefile("rb")
