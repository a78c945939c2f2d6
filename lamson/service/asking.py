"""Asking the servers of a running service, and submission, whether they answer, as Postfix would.

For `lamson status` and `lamson postfix check`. No message is sent, and nothing is left behind. What
does not answer in time, or answers something else, raises OSError in words for an operator.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import TYPE_CHECKING

from lamson.net import tls
from lamson.net.accept import AllowList
from lamson.net.endpoint import from_here

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedReader

    from lamson.settings.listening import Guarded, Listening
    from lamson.settings.lmtp import Lmtp
    from lamson.settings.milter import Milter
    from lamson.settings.socketmap import Socketmap
    from lamson.settings.submission import Submission

TIMEOUT = 5.0  # seconds
_MOST = 10_000  # octets of an answer: another program may listen there
_NOWHERE = "nothing.invalid"
_OURS, _NOT_FOUND = b"7:OK ours,", b"9:NOTFOUND"
# SMFIC_OPTNEG with version 6, all actions and all steps; SMFIC_QUIT (Sendmail's mfdef.h).
_OPTION_NEGOTIATION = struct.pack("!IcIII", 13, b"O", 6, 0x1FF, 0x1FFFFF)
_QUIT = struct.pack("!Ic", 1, b"Q")


def lmtp(server: Lmtp) -> None:
    """LHLO (RFC 2033 section 4.1)."""
    with _connected(server) as (sock, said):
        if _is_turned_away(server, sock, said):
            return
        answer = said.readline(_MOST)
        if answer.startswith(b"220 "):
            sock.sendall(b"LHLO lamson-check.invalid\r\nQUIT\r\n")
            answer += said.read(_MOST)
    if b"\r\n250 " not in answer:
        raise OSError(f"it says {_first_line(answer)!r}")


def socketmap(server: Socketmap, domain: str | None = None) -> None:
    """Whether that domain, which is ours, is; without one either answer will do for one that is
    nobody's (socketmap_table(5))."""
    asked = domain or _NOWHERE
    request = f"domain {asked}".encode()
    with _connected(server) as (sock, said):
        if _is_turned_away(server, sock, said):
            return
        sock.sendall(b"%d:%s," % (len(request), request))
        answer = said.read1(_MOST)
    if answer != _OURS and (domain or not answer.startswith(_NOT_FOUND)):
        raise OSError(f"it says {answer[:80]!r} of {asked}")


def milter(server: Milter) -> None:
    """Negotiates, as smtpd does, and says goodbye."""
    with _connected(server) as (sock, said):
        sock.sendall(_OPTION_NEGOTIATION)
        length, letter = struct.unpack("!Ic", _exactly(said, 5))
        if letter != b"O" or not 13 <= length <= _MOST:
            raise OSError(f"it says {letter!r} where a milter negotiates")
        version = struct.unpack("!I", _exactly(said, 4))[0]
        if version < 2:
            raise OSError(f"it speaks version {version} of the protocol")
        _exactly(said, length - 5)
        with contextlib.suppress(OSError):  # it may have hung up
            sock.sendall(_QUIT)


def submission(server: Submission) -> None:
    """EHLO, as the relay begins; nothing is sent, and nobody is logged in."""
    with socket.create_connection((server.host, server.port), TIMEOUT) as plain:
        sock = plain
        if server.security == "tls":
            context = tls.client_context(server.ca_file, server.tls_name)
            sock = context.wrap_socket(plain, server_hostname=server.host)
        with sock, sock.makefile("rb") as said:
            answer = said.readline(_MOST)
            while answer.startswith(b"220-"):
                answer = said.readline(_MOST)
            if answer.startswith(b"220"):
                sock.sendall(b"EHLO lamson-check.invalid\r\n")
                answer = said.readline(_MOST)
            if answer.startswith(b"250"):
                with contextlib.suppress(OSError):
                    sock.sendall(b"QUIT\r\n")
                    said.read(_MOST)
                return
    raise OSError(f"it says {_first_line(answer)!r}" if answer else "it hangs up")


def _is_turned_away(server: Guarded, sock: socket.socket, said: BufferedReader) -> bool:
    """``allow`` does not name this machine, and the server has said so: it is there, all the same,
    for those whom it knows."""
    if AllowList(server.allow).allows(sock.getsockname()):
        return False
    with contextlib.suppress(ConnectionError):
        said.read1(_MOST)
    return True


def _exactly(said: BufferedReader, count: int) -> bytes:
    data = said.read(count)
    if len(data) < count:
        raise OSError("it hangs up")
    return data


def _first_line(answer: bytes) -> str:
    return answer[:200].partition(b"\r\n")[0].decode("ascii", "replace")


@contextlib.contextmanager
def _connected(server: Listening) -> Iterator[tuple[socket.socket, BufferedReader]]:
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
