"""`postfix/compose.yaml` comes up with one command, and mail gets an answer."""

from __future__ import annotations

import os
import shutil
import smtplib
import subprocess
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lamson.containers.images import LAMSON, POSTFIX
from tests.waiting import free_port, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamson.containers import MailSystem

FILE = Path(__file__).parents[2] / "postfix" / "compose.yaml"
LETTER = "From: zed@world.test\r\nTo: guestbook@test.com\r\nSubject: Hello\r\n\r\nHi.\r\n"


def compose_command() -> list[str] | None:
    """The plugin where there is one, else the program that came before it."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if (
            shutil.which(command[0])
            and not subprocess.run(
                [*command, "version"], capture_output=True, check=False
            ).returncode
        ):
            return command
    return None


class Composed:
    """The project of compose.yaml, on the engine and with the images of the other stories."""

    def __init__(self, command: list[str], url: str) -> None:
        self._command = [*command, "-f", str(FILE), "-p", f"lamson-{uuid.uuid4().hex[:8]}"]
        self.port = free_port()
        self._environment = {
            **os.environ,
            "DOCKER_HOST": url,
            "LAMSON_IMAGE": LAMSON,
            "POSTFIX_IMAGE": POSTFIX,
            "SMTP": f"127.0.0.1:{self.port}",
        }

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self._command, *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def send(self) -> bool:
        """True once Postfix takes a letter: it must be up, and a node that it asks."""
        try:
            with smtplib.SMTP("127.0.0.1", self.port, timeout=60) as client:
                client.sendmail("zed@world.test", ["guestbook@test.com"], LETTER)
        except (OSError, smtplib.SMTPException):
            return False
        return True


@pytest.fixture
def composed(mailsystem: MailSystem) -> Iterator[Composed]:
    command = compose_command()
    if command is None:
        pytest.skip("neither docker compose nor docker-compose is installed")
    composed = Composed(command, mailsystem.engine.url)
    try:
        yield composed
        print(composed.run("logs", "--no-color"))
    finally:
        composed.run("down", "--volumes", "--timeout", "10")


def test_it_comes_up_and_answers(composed: Composed) -> None:
    composed.run("up", "--no-build", "--detach")
    wait_for(composed.send, "Postfix takes a letter", timeout=90)
    wait_for(
        lambda: (
            "sign our guest book"
            in composed.run("exec", "-T", "world", "lamson", "queue", "-name", "mail")
        ),
        "the answer arrives in the world",
    )
