"""The real milter and a client that speaks as Postfix does, or worse."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.milter.client import MilterClient
from tests.milter.projects import HANDLERS, FilteringService
from tests.waiting import free_port, wait_for

pytest.importorskip("milter", reason="pymilter is not installed (pip install '.[milter]')")

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

FILTERS = """
import threading, time

@filter_sender(helo=True)
def sender(mail: Arrival) -> Verdict:
    if mail.sender.startswith("slow"):
        time.sleep(2)
    return None

@filter_message("(user)@(host)")
def look(message: FilteredMail, user: str, host: str) -> Verdict:
    if user == "stuck":
        threading.Event().wait()
    if user == "exit":
        raise SystemExit(f"for {message['Subject']}")
    message.add_header("X-Saw", f"{len(message.raw)} {message.is_truncated} {message.peer.helo}")
    message.add_header("X-Subject", message.subject[:100])
    return None
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FilteringService]:
    directory = tmp_path_factory.mktemp("milter") / "p"
    limits = "timeout=1, content_timeout=1, max_body=2_000_000, max_buffered=8_000_000"
    with FilteringService(directory, FILTERS, limits) as service:
        yield service


@pytest.fixture
def client(service: FilteringService) -> Iterator[MilterClient]:
    with MilterClient(service.socket) as client:
        client.connect()
        yield client


def workers(service: FilteringService) -> list[Path]:
    """The worker processes, in /proc."""
    children = Path(f"/proc/{service.pid}/task/{service.pid}/children").read_text()
    return [Path("/proc", pid) for pid in children.split()]


def peak_megabytes(service: FilteringService) -> int:
    """The most memory that a worker had so far."""
    lines = [line for one in workers(service) for line in (one / "status").read_text().splitlines()]
    return max(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM"))


def accepted(service: FilteringService, client: MilterClient) -> socket.socket:
    """The worker's end of this TCP connection."""
    for worker in workers(service):
        for name in (worker / "fd").iterdir():
            with suppress(OSError):  # closed by now, or a socket that has no peer
                if not str(name.readlink()).startswith("socket:"):
                    continue
                with socket.socket(fileno=taken_from(int(worker.name), int(name.name))) as sock:
                    if sock.getpeername() == client.socket.getsockname():
                        return sock.dup()
    raise AssertionError("no worker has the other end")


def taken_from(pid: int, descriptor: int) -> int:
    """A descriptor for the same file as that one of another process. Raises OSError."""
    process = os.pidfd_open(pid)
    try:
        # pidfd_getfd(2), which Python has no name for; its number is the same on every processor.
        taken = int(ctypes.CDLL(None, use_errno=True).syscall(438, process, descriptor, 0))
    finally:
        os.close(process)
    if taken < 0:
        raise OSError(ctypes.get_errno(), "pidfd_getfd")
    return taken


def is_served(service: FilteringService) -> bool:
    with MilterClient(service.socket) as client:
        return client.message().letter == "c"


def test_only_what_somebody_needs_is_asked_for(client: MilterClient) -> None:
    assert client.helo() is None, "wanted, and not answered"
    assert client.steps & 0x1, "no connect"
    assert client.steps & 0x200, "no data"
    assert client.steps & 0x40, "no end of header"
    assert not client.steps & 0x4000, "the sender is answered"
    assert client.steps & 0x8000, "the recipient is not"
    assert client.message().letter == "c"


def test_a_message_with_its_edits(client: MilterClient) -> None:
    client.helo(b"client.test")
    answer = client.message(headers=(("Subject", b"Hello"), ("X", b"a\n b")))
    assert answer.letter == "c"
    assert answer.added()["X-Saw"] == " 39 False client.test"
    assert answer.added()["X-Subject"] == " Hello"


def test_any_octets_are_data(client: MilterClient, service: FilteringService) -> None:
    client.helo(b"\xff\xfe")
    answer = client.message(
        headers=(("Subject", b"caf\xe9 \xff"), (b"X-\xe9", b"y"), ("X", b"\x01\x7f")),
        body=b"\x00\xff\r\n" * 10,
    )
    assert answer.letter == "c"
    assert answer.added()["X-Saw"].split()[1:] == ["False"], "such a HELO is not seen"
    service.wait_log("not UTF-8")


def test_nul_ends_a_string_of_the_protocol(client: MilterClient) -> None:
    # Postfix sends none. What follows is another string, which libmilter ignores.
    assert client.message(headers=(("Subject", b"a\0b"),)).added()["X-Subject"] == " a"


def test_whatever_a_filter_raises_the_next_message_is_served(
    client: MilterClient, service: FilteringService
) -> None:
    answer = client.message("<exit@test.com>", headers=(("Subject", b"leaving"),), queue_id="4xyz")
    assert (answer.letter, answer.reply[:9], answer.edits) == ("y", "451 4.3.0", [])
    service.wait_log("id=4xyz: filter app.filters.look failed: SystemExit('for leaving')")
    assert client.message().letter == "c"


def test_a_filter_that_takes_too_long(client: MilterClient, service: FilteringService) -> None:
    answer = client.mail("<slow@sender.test>")
    assert answer is not None
    assert answer.reply.startswith("451 4.3.0")
    client.abort()
    assert client.message("<stuck@test.com>").reply.startswith("451 4.3.0")
    service.wait_log("not done within 1 s; answered 451", count=2)
    assert is_served(service)


def test_100_megabytes_and_4000_fields(client: MilterClient, service: FilteringService) -> None:
    assert is_served(service)
    before = peak_megabytes(service)
    fields = tuple((f"X-{number}", b"v" * 200) for number in range(4_000))
    answer = client.message(headers=fields, body=b"0123456789abcde\n" * (100 << 16))
    assert answer.letter == "c"
    size, is_truncated = answer.added()["X-Saw"].split()[:2]
    assert is_truncated == "True"
    assert 2_000_000 < int(size) < 4_000_000
    assert peak_megabytes(service) - before < 60
    assert is_served(service)


def test_a_million_tiny_fields(client: MilterClient, service: FilteringService) -> None:
    assert is_served(service)
    before = peak_megabytes(service)
    client.mail()
    client.rcpt()
    for _ in range(1_000_000):
        client.header("a", b"")
    client.header("Subject", b"hidden")
    answer = client.end("4tiny")
    assert answer.reply == "552 5.3.4 Message header too large"
    service.wait_log("filtered id=4tiny", "verdict=rejected")
    assert peak_megabytes(service) - before < 30
    assert is_served(service)


def test_more_mail_at_a_time_than_memory_is_allowed(service: FilteringService) -> None:
    clients = [MilterClient(service.socket) for _ in range(20)]
    for client in clients:
        client.mail()
        client.rcpt()
        client.body(b"0123456789abcde\n" * 60_000)
        client._flush()
    service.wait_log("id=-: milter.max_buffered", "answered 452")
    answers = [client.end("4full") for client in clients]
    for client in clients:
        client.close()
    assert {answer.reply[:9] for answer in answers} == {"", "452 4.3.1"}
    assert is_served(service)


@pytest.mark.parametrize(
    "garbage",
    [
        b"EHLO client.test\r\nMAIL FROM:<>\r\n",
        b"\0\0\0\0",
        b"\xff\xff\xff\xffO",
        struct.pack("!I", 1) + b"E",
        struct.pack("!I", 1) + b"?",
        struct.pack("!I", 13) + b"O" + b"\0" * 12,
        bytes(range(256)) * 64,
    ],
)
def test_garbage_ends_its_own_session_alone(service: FilteringService, garbage: bytes) -> None:
    with MilterClient(service.socket) as other:
        other.mail()
        with socket.socket(socket.AF_UNIX) as raw:
            raw.settimeout(20)
            raw.connect(service.socket)
            raw.sendall(garbage)
            raw.shutdown(socket.SHUT_WR)
            with suppress(ConnectionResetError):
                while raw.recv(4096):
                    pass
        other.rcpt()
        other.header("Subject", b"still here")
        assert other.end("4abc").letter == "c"


def test_half_packets_hold_up_nobody(service: FilteringService) -> None:
    stalled = []
    for _ in range(20):
        client = MilterClient(service.socket)
        client.socket.sendall(struct.pack("!I", 1000) + b"M<a")
        stalled.append(client)
    assert all(is_served(service) for _ in range(10))
    for client in stalled:
        client.close()


def test_many_sessions_at_once(service: FilteringService) -> None:
    answers: list[str] = []

    def talk() -> None:
        with MilterClient(service.socket) as client:
            answers.extend(client.message().letter for _ in range(20))

    threads = [threading.Thread(target=talk) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == ["c"] * 400


def test_nothing_is_left_of_a_session_that_is_gone(service: FilteringService) -> None:
    def descriptors() -> int:
        return sum(len(list((one / "fd").iterdir())) for one in workers(service))

    assert is_served(service)
    before = descriptors()
    for _ in range(30):
        client = MilterClient(service.socket)
        client.mail()
        client.close()
    wait_for(lambda: descriptors() <= before, "libmilter to close what is gone")


def test_a_second_start_cannot_steal_the_path(service: FilteringService, tmp_path: Path) -> None:
    second = FilteringService(tmp_path / "p", FILTERS, f'"unix:{service.socket}"')
    with pytest.raises(AssertionError, match="it is in use"):
        second.start()
    second.kill()
    assert is_served(service)


def test_tcp_does_not_wait_for_acknowledgements(tmp_path: Path) -> None:
    """On a connection that waits, each message that is edited takes some 40 ms."""
    port = free_port()
    with (
        FilteringService(tmp_path / "p", FILTERS, f'"127.0.0.1:{port}"') as service,
        MilterClient(("127.0.0.1", port)) as client,
    ):
        assert client.message().added()
        with accepted(service, client) as sock:
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_no_more_of_a_body_is_sent_than_somebody_reads(tmp_path: Path) -> None:
    filters = """
@filter_message("(user)@(host)", body=100)
def look(message: FilteredMail, user: str, host: str) -> Verdict:
    message.add_header("X-Saw", f"{len(message.body)} {message.is_truncated}")
"""
    with (
        FilteringService(tmp_path / "p", filters) as service,
        MilterClient(service.socket) as client,
    ):
        client.mail()
        client.rcpt()
        answer = client.body(b"x" * 200_000)
        assert answer is not None
        assert answer.letter == "s"
        assert client.end().added()["X-Saw"] == " 100 True"


def test_without_filters_there_is_only_the_recipient_check(tmp_path: Path) -> None:
    handlers = HANDLERS.replace('"(user)@(host)"', '"(user)@(host)", user="one"')
    service = FilteringService(tmp_path / "p", "", "check_recipients=True", handlers=handlers)
    settings = service.project / "config/settings.py"
    settings.write_text(settings.read_text().replace('"app.filters"', ""))
    with service, MilterClient(service.socket) as client:
        assert client.steps & 0x20, "no header fields"
        assert client.steps & 0x10, "no body"
        client.mail()
        for path, letter in (
            ("<one@test.com>", "c"),
            ("<two@test.com>", "y"),
            ("<two@else.test>", "c"),
        ):
            answer = client.rcpt(path)
            assert answer is not None
            assert answer.letter == letter
        assert client.end().letter == "c"
