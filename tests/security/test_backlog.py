"""A stranger decides how large the mail is that a handler forwards, and submission may be away.

However much then waits in the outbox, it leaves, and a worker needs the same memory for it. And he
who finds a handler's bug does not fill the disk with what is kept for it.
"""

from __future__ import annotations

import smtplib
from typing import TYPE_CHECKING

import pytest

from lamson.storage.database import Database
from lamson.storage.outbox import Outbox
from lamson.storage.outgoing import Outgoing
from tests.security.drain import Drain
from tests.service import LamsonService
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SETTINGS = """
from lamson.settings import Settings, Submission

settings = Settings(
    max_undeliverable=40_000,
    database="{url}",
    submission=Submission("127.0.0.1:{port}"),
    handlers=["handlers"],
    route_defaults={{"host": r"test\\.com"}},
    metadata=None,
)
"""
HANDLERS = """
from lamson import Delivery, route, stateless

@stateless
@route("fwd-(user)@(host)", user="[a-z]+")
def forward(message, delivery: Delivery, user=None, host=None):
    delivery.forward(f"{user}@other.example", sender="")

@route("(user)@(host)", user="[a-z]+")
def START(message, user=None, host=None):
    raise RuntimeError("a bug")

def ERROR(message, user=None, host=None):
    pass
"""
MEGABYTE = 1024 * 1024
SIZE = 8 * MEGABYTE  # of a message: less than Postfix lets through by default
MESSAGES = 40  # more than that together
ENOUGH = 350  # MiB, for a worker; one that kept them all had over 400


@pytest.fixture
def drain() -> Iterator[Drain]:
    with Drain() as drain:
        yield drain


def make_service(project: Path, url: str, port: int) -> LamsonService:
    (project / "config").mkdir()
    (project / "config" / "settings.py").write_text(SETTINGS.format(url=url, port=port))
    (project / "handlers.py").write_text(HANDLERS)
    service = LamsonService(project)
    service.command("syncdb")
    return service


def leave_backlog(url: str) -> None:
    """As a handler that forwards leaves it while submission is away: half of it to one."""
    database = Database(url)
    outbox = Outbox(database, "gone")
    for number in range(MESSAGES):
        head = b"Message-ID: <%d@test.com>\r\n\r\n" % number
        content = head + (b"x" * 998 + b"\r\n") * (SIZE // 1000)
        name = number if number % 2 else "zed"
        row = Outgoing("4Qz", f"<{number}@test.com>", "", (f"{name}@b.example",), content)
        with database.begin() as connection:
            mine = outbox.insert(connection, [row])
        outbox.release([one.id for one in mine])
    database.close()


def peak(pid: int) -> int:
    """The most memory, in MiB, that a worker of this supervisor had."""
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        workers = file.read().split()
    peaks = []
    for worker in workers:
        with open(f"/proc/{worker}/status") as file:
            (line,) = (line for line in file if line.startswith("VmHWM:"))
        peaks.append(int(line.split()[1]) // 1024)
    return max(peaks)


def check_that_it_leaves(project: Path, url: str, drain: Drain) -> None:
    service = make_service(project, url, drain.port)
    leave_backlog(url)
    with service:
        wait_for(
            lambda: len(drain.taken) >= MESSAGES,
            lambda: f"the outbox to drain; {len(drain.taken)} have left: {service.log_lines()}",
        )
        wait_for(
            lambda: service.command("outbox", "-count").strip() == "0", "the rows to be deleted"
        )
        worst = peak(service.pid)
        assert not service.log_lines("ERROR")
    assert len(drain.taken) == len(set(drain.taken)) == MESSAGES
    to_zed = [name for name in drain.taken if int(name[1:].split(b"@")[0]) % 2 == 0]
    assert to_zed == [b"<%d@test.com>" % number for number in range(0, MESSAGES, 2)]
    assert worst < ENOUGH


@pytest.mark.slow
def test_a_backlog_larger_than_the_memory_leaves(tmp_path: Path, drain: Drain) -> None:
    check_that_it_leaves(tmp_path, f"sqlite:///{tmp_path}/lamson.db", drain)


@pytest.mark.slow
@pytest.mark.postgres
def test_so_it_does_from_a_database_server(tmp_path: Path, postgres_url: str, drain: Drain) -> None:
    check_that_it_leaves(tmp_path, postgres_url, drain)


@pytest.mark.slow
def test_mail_that_is_forwarded_while_submission_is_away_does_not_stay_in_memory(
    tmp_path: Path,
) -> None:
    content = b"From: a@b.example\r\n\r\n" + (b"x" * 998 + b"\r\n") * (SIZE // 1000)
    service = make_service(tmp_path, f"sqlite:///{tmp_path}/lamson.db", 1)
    with service:
        for number in range(MESSAGES):
            name = "abcdefghij"[number // 10] + "abcdefghij"[number % 10]
            with smtplib.LMTP("127.0.0.1", service.port, timeout=60) as client:
                client.ehlo()
                client.mail("a@b.example")
                client.rcpt(f"fwd-{name}@test.com")
                assert client.data(content)[0] == 250
        assert service.command("outbox", "-count").strip() == str(MESSAGES)
        assert peak(service.pid) < ENOUGH


def test_what_is_kept_does_not_fill_the_disk(tmp_path: Path) -> None:
    service = make_service(tmp_path, f"sqlite:///{tmp_path}/lamson.db", 1)

    def deliver(number: int) -> tuple[int, str]:
        content = f"From: {number}@b.example\r\n\r\n" + "x\r\n" * 5000
        with smtplib.LMTP("127.0.0.1", service.port, timeout=60) as client:
            client.ehlo()
            client.mail(f"{number}@b.example")
            client.rcpt("zed@test.com")
            code, text = client.data(content.encode())
            return code, text.decode()

    full = (451, "4.3.1 Insufficient storage; try again later")
    with service:
        assert [deliver(number)[0] for number in range(4)] == [250, 250, 250, 451]
        assert (deliver(4), deliver(5)) == (full, full)
        assert len(service.log_lines("ERROR", "undeliverable", "it is full")) == 1
        assert service.command("queue", "-count").strip() == "3"
        service.command("queue", "-clear", "-FORCE")
        assert deliver(4)[0] == 250
