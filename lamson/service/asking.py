"""Asking the servers of a running service whether they answer, as Postfix would.

For `lamson status`. No message is sent, and nothing is left behind. What does not answer in time,
or answers something else, raises OSError in words for an operator.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import IO, TYPE_CHECKING

from lamson.net.endpoint import from_here

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamson.settings.listening import Listening
    from lamson.settings.lmtp import Lmtp
    from lamson.settings.milter import Milter
    from lamson.settings.socketmap import Socketmap

TIMEOUT = 5.0  # seconds
_MOST = 10_000  # octets of an answer: another program may listen there
_NOWHERE = b"domain nothing.invalid"
# SMFIC_OPTNEG with version 6, all actions and all steps; SMFIC_QUIT (Sendmail's mfdef.h).
_OPTION_NEGOTIATION = struct.pack("!IcIII", 13, b"O", 6, 0x1FF, 0x1FFFFF)
_QUIT = struct.pack("!Ic", 1, b"Q")


def lmtp(server: Lmtp) -> None:
    """LHLO (RFC 2033 section 4.1)."""
    with _connected(server) as (sock, said):
        answer = said.readline(_MOST)
        if answer.startswith(b"220 "):
            sock.sendall(b"LHLO lamson-status.invalid\r\nQUIT\r\n")
            answer += said.read(_MOST)
    if b"\r\n250 " not in answer:
        raise OSError(f"it says {_first_line(answer)!r}")


def socketmap(server: Socketmap) -> None:
    """Whether that domain is ours: either answer will do (socketmap_table(5))."""
    with _connected(server) as (sock, said):
        sock.sendall(b"%d:%s," % (len(_NOWHERE), _NOWHERE))
        answer = said.read(len(b"7:OK ours,"))
    if not answer.startswith((b"9:NOTFOUND", b"7:OK ours")):
        raise OSError(f"it says {_first_line(answer)!r}")


def milter(server: Milter) -> None:
    """Negotiates, as smtpd does, and says goodbye."""
    with _connected(server) as (sock, said):
        sock.sendall(_OPTION_NEGOTIATION)
        answer = said.read(5)
        with contextlib.suppress(OSError):  # it may have hung up
            sock.sendall(_QUIT)
    if len(answer) < 5 or answer[4:] != b"O":
        raise OSError(f"it says {answer!r} where a milter negotiates")


def _first_line(answer: bytes) -> str:
    return answer[:200].partition(b"\r\n")[0].decode("ascii", "replace")


@contextlib.contextmanager
def _connected(server: Listening) -> Iterator[tuple[socket.socket, IO[bytes]]]:
    """A connection, and what it says."""
    if server.host_port is not None:
        host, port = server.host_port
        sock = socket.create_connection((from_here(host), port), TIMEOUT)
    else:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(TIMEOUT)
    with sock:
        if server.host_port is None:
            sock.connect(str(server.unix_path))
        with sock.makefile("rb") as said:
            yield sock, said
