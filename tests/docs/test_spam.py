"""docs/how-to/spam.md: its project works, in its own tests and with SpamAssassin itself."""

from __future__ import annotations

import os
import shutil
import smtplib
from typing import TYPE_CHECKING

import pytest

from lamson.storage.maildir import Maildir
from tests.docs.blocks import blocks
from tests.intro.shell import Shell
from tests.judges.servers import GTUBE, run_spamd
from tests.waiting import free_port, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

PAGE = "how-to/spam.md"


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """A prompt in the project of the page."""
    for block in blocks(PAGE):
        if block.file:
            file = tmp_path / block.file
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text)
    (tmp_path / "app/__init__.py").touch()
    (tmp_path / "app/handlers/__init__.py").touch()
    with Shell(tmp_path) as shell:
        yield shell
        shell.enter("lamson stop -KILL -timeout 5")


def test_its_tests_pass(shell: Shell) -> None:
    status, output = shell.enter("pytest -q tests/handlers/desk_tests.py")
    assert status == 0, output


def test_what_was_kept_can_be_listed_and_given_back(shell: Shell, tmp_path: Path) -> None:
    if shutil.which("spamd") is None:
        pytest.skip("spamd is not installed (Debian's packages spamd and spamassassin)")
    port = free_port()
    settings = tmp_path / "config/settings.py"
    queue = tmp_path / "run/spam"

    def send(number: int, body: str, expected: int) -> str:
        with smtplib.LMTP("127.0.0.1", port, timeout=60) as client:
            client.ehlo()
            client.docmd(f"XFORWARD IDENT=4ZxWQk{number:04d}z5tVb PROTO=ESMTP")
            content = f"From: zed{number}@example.com\r\nSubject: Hello\r\n\r\n{body}\r\n"
            client.sendmail(f"zed{number}@example.com", ["help@test.com"], content)
        wait_for(lambda: Maildir(queue).count() == expected, f"{expected} in the queue")
        status, output = shell.enter("lamson outbox -count")
        assert status == 0, output
        return output.strip()

    with run_spamd() as spamd:
        settings.write_text(settings.read_text().replace("127.0.0.1:783", f"127.0.0.1:{spamd}"))
        for line in (
            f"export LAMSON_LMTP__LISTEN=127.0.0.1:{port} LAMSON_SUBMISSION__SERVER=127.0.0.1:1",
            "lamson syncdb",
            "lamson start",
        ):
            status, output = shell.enter(line)
            assert status == os.EX_OK, output
        assert send(1, "My screen is dark.", 0) == "1"
        assert send(2, GTUBE, 1) == "1"
    # It is gone: mail passes.
    assert send(3, GTUBE, 1) == "2"
    log = (tmp_path / "logs/lamson.log").read_text()
    assert "has no opinion" in log
    _, output = shell.enter("lamson queue -name run/spam")
    key = output.split()[0]
    shown = shell.enter(f"lamson queue -name run/spam -show {key}").output
    assert "X-Lamson-Reason: spam: SpamAssassin: 1" in shown
    status, output = shell.enter(f"lamson requeue -name run/spam {key}")
    assert status == os.EX_OK, output
    assert Maildir(queue).count() == 0
    assert shell.enter("lamson outbox -count").output.strip() == "3"
