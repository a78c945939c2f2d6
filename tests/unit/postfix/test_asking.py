"""lamson.postfix.asking: Postfix's answers, whatever its version. A real one: tests/postfix."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from lamson.postfix import asking
from lamson.postfix.asking import Reply, Rewrite, Smtpd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PROTOCOL = b"protocol\0trivial_rewrite_protocol\0\0"
RESOLVED = b"flags\0000\0transport\0%s\0nexthop\0%s\0recipient\0x@a.test\0flags\0%d\0\0"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """``served(ANSWER, ...)``: a socket that says each after what it was asked, then hangs up."""
    listener = socket.socket(socket.AF_UNIX)

    def make(*answers: bytes) -> Path:
        listener.bind(str(tmp_path / "socket"))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                for answer in answers:
                    connection.sendall(answer)
                    connection.recv(4096)

        threading.Thread(target=serve, daemon=True).start()
        return tmp_path / "socket"

    yield make
    listener.close()


@pytest.mark.parametrize("first", [b"", PROTOCOL])
def test_both_protocols_of_trivial_rewrite(served: Callable[..., Path], first: bytes) -> None:
    rewrite = Rewrite(served(first + RESOLVED % (b"lmtp", b"inet:[::1]:24", 1 << 11)))
    way = rewrite.way("x@a.test")
    assert (str(way), way.is_known, way.is_elsewhere) == ("lmtp:inet:[::1]:24", True, False)
    rewrite.close()


def test_flags_of_trivial_rewrite(served: Callable[..., Path]) -> None:
    rewrite = Rewrite(served(RESOLVED % (b"", b"", 1 << 12 | 1 << 3)))
    way = rewrite.way("x@a.test")
    assert (way.is_known, way.is_elsewhere) == (False, True)
    rewrite.close()


def test_who_hangs_up_is_an_error(served: Callable[..., Path]) -> None:
    rewrite = Rewrite(served(PROTOCOL))
    with pytest.raises(OSError, match="hung up"):
        rewrite.way("x@a.test")
    rewrite.close()


def test_a_lookup_that_takes_too_long_has_failed(
    served: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "_LOOKUP", 0.05)
    hello = (b"220 x\r\n", b"250-x\r\n250 DSN\r\n", b"250 ok\r\n250 ok\r\n250 ok\r\n", b"")
    smtpd = Smtpd(served(*hello), is_stranger=False)
    kinds = [reply.kind for reply in smtpd.recipients(["x@a.test", "y@a.test", "z@a.test"])]
    assert kinds == ["accepted", "deferred"], "the third is not known"
    smtpd.close()


@pytest.mark.parametrize(
    ("code", "kind"), [(250, "accepted"), (251, "accepted"), (450, "deferred"), (554, "refused")]
)
def test_kinds_of_replies(code: int, kind: str) -> None:
    assert Reply(code, "").kind == kind
