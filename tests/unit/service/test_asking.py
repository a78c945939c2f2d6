"""lamson.service.asking: what counts as an answer of each of our servers."""

from __future__ import annotations

import re
import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from lamson.service import asking
from lamson.settings import Lmtp, Milter, Socketmap, Submission

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LMTP = b"220 x LMTP\r\n", b"250-x\r\n250 SIZE\r\n221 Bye\r\n"
MILTER = b"", b"\0\0\0\x0dO\0\0\0\6" + b"\0" * 8


@contextmanager
def server(path: Path, greeting: bytes, answer: bytes) -> Iterator[None]:
    """Says the greeting, reads something, says the answer and hangs up."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            client, _ = listener.accept()
            with client, suppress(ConnectionError):
                client.sendall(greeting)
                if answer:
                    client.recv(4096)
                client.sendall(answer)
                client.shutdown(socket.SHUT_WR)
                while client.recv(4096):
                    pass

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join(60)


@pytest.mark.parametrize(
    ("ask", "kind", "said"),
    [
        (asking.lmtp, Lmtp, LMTP),
        (asking.socketmap, Socketmap, (b"", b"9:NOTFOUND ,")),
        (asking.socketmap, Socketmap, (b"", b"7:OK ours,")),
        (asking.milter, Milter, MILTER),
    ],
)
def test_what_answers(
    tmp_path: Path, ask: Callable[[Any], None], kind: Any, said: tuple[bytes, bytes]
) -> None:
    with server(tmp_path / "socket", *said):
        ask(kind(f"unix:{tmp_path}/socket"))


@pytest.mark.parametrize(
    ("ask", "kind", "said", "problem"),
    [
        (asking.lmtp, Lmtp, (b"421 4.3.2 not now\r\n", b""), "it says '421 4.3.2 not now'"),
        (asking.lmtp, Lmtp, (b"220 x\r\n", b"500 what\r\n"), "it says '220 x'"),
        (asking.lmtp, Lmtp, (b"", b""), "it says ''"),
        (
            asking.socketmap,
            Socketmap,
            (b"", b"12:TEMP not now,"),
            "it says b'12:TEMP not now,' of nothing.invalid",
        ),
        (asking.socketmap, Socketmap, (b"", b""), "it says b''"),
        (asking.milter, Milter, (b"", b""), "it hangs up"),
        (asking.milter, Milter, (b"", b"\0\0\0\1r"), "where a milter negotiates"),
    ],
)
def test_what_is_no_answer(
    tmp_path: Path, ask: Callable[[Any], None], kind: Any, said: tuple[bytes, bytes], problem: str
) -> None:
    with server(tmp_path / "socket", *said), pytest.raises(OSError, match=re.escape(problem)):
        ask(kind(f"unix:{tmp_path}/socket"))


def test_a_domain_of_ours_has_to_be_ours(tmp_path: Path) -> None:
    with server(tmp_path / "ours", b"", b"7:OK ours,"):
        asking.socketmap(Socketmap(f"unix:{tmp_path}/ours"), "app.test")
    not_found = server(tmp_path / "not", b"", b"9:NOTFOUND ,")
    with not_found, pytest.raises(OSError, match=r"NOTFOUND ,' of app\.test"):
        asking.socketmap(Socketmap(f"unix:{tmp_path}/not"), "app.test")


def test_a_server_that_is_for_other_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    """It turns this one away, as it should: a health check must not have it restarted for that."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        place = f"127.0.0.1:{listener.getsockname()[1]}"
        lmtp = Lmtp(place, allow=["10.0.0.5"])
        socketmap = Socketmap(place, allow=["10.0.0.5"])

        def turn_away() -> None:
            for _ in range(2):
                listener.accept()[0].close()

        thread = threading.Thread(target=turn_away)
        thread.start()
        asking.lmtp(lmtp)
        asking.socketmap(socketmap)
        thread.join(60)
        monkeypatch.setattr(asking, "TIMEOUT", 0.05)
        with pytest.raises(TimeoutError):
            asking.lmtp(lmtp)


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        asking.lmtp(Lmtp(f"unix:{tmp_path}/socket"))
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        asking.socketmap(Socketmap(f"127.0.0.1:{port}"))


def test_silence_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "TIMEOUT", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(TimeoutError):
        asking.lmtp(Lmtp(f"127.0.0.1:{silent.getsockname()[1]}"))


@pytest.mark.parametrize(
    ("greeting", "answer", "problem"),
    [
        (b"220 x ESMTP\r\n", b"250-x\r\n250 DSN\r\n", ""),
        (b"220-x\r\n220 ESMTP\r\n", b"250 x\r\n", ""),
        (b"421 4.3.2 not now\r\n", b"", "it says '421 4.3.2 not now'"),
        (b"220 x\r\n", b"502 5.5.2 what\r\n", "it says '502 5.5.2 what'"),
        (b"", b"", "it hangs up"),
    ],
)
def test_what_submission_answers(greeting: bytes, answer: bytes, problem: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            client, _ = listener.accept()
            with client, suppress(OSError):
                client.sendall(greeting)
                if greeting.startswith(b"220"):
                    client.recv(4096)
                client.sendall(answer)
                client.shutdown(socket.SHUT_WR)
                while client.recv(4096):
                    pass

        thread = threading.Thread(target=serve)
        thread.start()
        server = Submission(f"127.0.0.1:{listener.getsockname()[1]}")
        if problem:
            with pytest.raises(OSError, match=re.escape(problem)):
                asking.submission(server)
        else:
            asking.submission(server)
        thread.join(60)
