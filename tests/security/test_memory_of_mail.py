"""A stranger's mail does not bloat a worker: a real one reads the worst of them, seen from outside.

`tests/unit/message/test_memory.py` counts the same for each kind of mail, in small. What comes out
here stands in docs/security.md.
"""

from __future__ import annotations

import os
import smtplib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.hostile import KINDS
from tests.service import LamsonService

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(300)

REPOSITORY = Path(__file__).parents[2]
SIZE = 10_000_000  # octets of a mail: Postfix takes 10,240,000 by default
MOST = 12  # times the size, of all that a worker grows while it receives, keeps and reads a mail

SETTINGS = """
from lamson.settings import Settings

settings = Settings(workers=1, handlers=["app.reader"])
"""
HANDLER = """
from lamson import MailRequest, route, stateless
from tests.hostile import read_all


@route("reader@test\\\\.com")
@stateless
def START(message: MailRequest) -> None:
    read_all(message)
"""

WORST = [
    "base64, one letter and junk",
    "base64, letters and padding",
    "base64, letters and junk",
    "quoted-printable",
    "short lines",
    "one astral letter",
    "gb18030",
    "iso-2022-jp, odd",
    "html, references",
    "parts",
    "messages in base64 in base64",
]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LamsonService]:
    project = tmp_path_factory.mktemp("reader")
    for name, text in {
        "config/__init__.py": "",
        "config/settings.py": SETTINGS,
        "app/__init__.py": "",
        "app/reader.py": HANDLER,
    }.items():
        (project / name).parent.mkdir(exist_ok=True)
        (project / name).write_text(text)
    with LamsonService(project, PYTHONPATH=str(REPOSITORY)) as service:
        _send(service, b"Subject: the first one\r\n\r\nloads what is loaded once\r\n")
        yield service


def _send(service: LamsonService, content: bytes) -> None:
    with smtplib.LMTP("127.0.0.1", service.port, timeout=120) as client:
        client.ehlo_or_helo_if_needed()
        assert client.sendmail("stranger@example.com", ["reader@test.com"], content) == {}


def _workers(service: LamsonService) -> list[int]:
    children = Path(f"/proc/{service.pid}/task/{service.pid}/children").read_text().split()
    return list(map(int, children))


def _kilobytes(pid: int, name: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(name))


@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="asks Linux for the peak")
@pytest.mark.parametrize("kind", WORST)
def test_a_worker_stays_within_bounds(service: LamsonService, kind: str) -> None:
    content = KINDS[kind](SIZE)
    before = {}
    for pid in _workers(service):
        Path(f"/proc/{pid}/clear_refs").write_text("5")  # forget the peak
        before[pid] = _kilobytes(pid, "VmRSS")
    _send(service, content)
    grown = max(_kilobytes(pid, "VmHWM") - before[pid] for pid in before)
    assert set(_workers(service)) == set(before), "a worker has died of it"
    print(f"{kind}: {grown / 1024:.0f} MiB")
    assert grown * 1024 < MOST * len(content), f"{grown / 1024:.0f} MiB"
