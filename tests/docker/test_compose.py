"""`postfix/compose.yaml` comes up with one command, and mail gets an answer."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import smtplib
import subprocess
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dkim
import pytest

from lamson.containers.images import LAMSON, POSTFIX
from tests.docs.blocks import blocks
from tests.waiting import free_port, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
        self.name = f"lamson-{uuid.uuid4().hex[:8]}"
        self._command = [*command, "-f", str(FILE), "-p", self.name, "--profile", "dkim"]
        self.port = free_port()
        self._environment = {
            **os.environ,
            "DOCKER_HOST": url,
            "LAMSON_IMAGE": LAMSON,
            "POSTFIX_IMAGE": POSTFIX,
            "SMTP": f"127.0.0.1:{self.port}",
            "DKIM_MILTER": "inet:dkim:8891",
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


def containers(composed: Composed, mailsystem: MailSystem) -> dict[str, Any]:
    """By service, what the engine tells of its container."""
    label = f"com.docker.compose.project={composed.name}"
    found = mailsystem.engine.client.containers.list(all=True, filters={"label": label})
    return {one.labels["com.docker.compose.service"]: one.attrs for one in found}


def answers(composed: Composed) -> list[str]:
    """What has arrived in the world, whole."""
    script = "cd mail/new 2>/dev/null && for file in *; do cat $file; echo; echo ---; done"
    mail = composed.run("exec", "-T", "world", "sh", "-c", f"{script} || true")
    return [one for one in mail.split("\n---\n") if "sign our guest book" in one]


def with_publication(composed: Composed) -> Callable[..., bytes]:
    """A name server that has what the container says is to be published."""
    said = composed.run("logs", "--no-color", "dkim")
    name, key = re.findall(r'to publish: (\S+) TXT "(.*)"', said)[-1]

    def ask(asked: bytes, timeout: int = 5) -> bytes:
        return key.encode() if asked.decode().rstrip(".") == name else b""

    return ask


@pytest.mark.timeout(1200)
def test_it_comes_up_and_answers(composed: Composed, mailsystem: MailSystem) -> None:
    composed.run("up", "--no-build", "--detach")
    wait_for(composed.send, "Postfix takes a letter", timeout=180)
    (answer,) = wait_for(lambda: answers(composed), "the answer arrives in the world")

    # Signed for our own domain, by the key that is to be published. The sink's own fields, which
    # stand above Postfix's first, are not covered.
    signed = answer[answer.index("DKIM-Signature:") :].replace("\n", "\r\n").encode()
    assert b"d=test.com;" in signed
    assert dkim.verify(signed, dnsfunc=with_publication(composed))
    forged = signed.replace(b"sign our guest book", b"sign my guest book")
    assert not dkim.verify(forged, dnsfunc=with_publication(composed))

    told = containers(composed, mailsystem)
    assert set(told) == {
        *("secrets", "postgres", "tables", "lamson1", "lamson2", "postfix", "dkim", "world"),
    }
    for service, one in told.items():
        config = one["HostConfig"]
        assert config["ReadonlyRootfs"], service
        assert config["CapDrop"] == ["ALL"], service
        assert config["SecurityOpt"] == ["no-new-privileges:true"], service
        assert config["PidsLimit"] == 200, service
        assert config["Memory"] == 1024**3, service
        assert config["LogConfig"]["Config"] == {"max-size": "10m", "max-file": "5"}, service
    assert "SYS_ADMIN" not in str([one["HostConfig"]["CapAdd"] for one in told.values()])

    # What the service is in the database: owner of its own, and nobody else.
    role = "select rolsuper, rolcreatedb, rolcreaterole, rolreplication from pg_roles"
    query = f"{role} where rolname = 'lamson'"
    database = ("exec", "-T", "postgres", "psql", "-U", "postgres", "-At", "-c")
    assert composed.run(*database, query).strip() == "f|f|f|f"

    status = json.loads(composed.run("exec", "-T", "lamson1", "lamson", "status", "-json"))
    assert status["servers"] == {"lmtp": True, "socketmap": True}
    assert status["database"]

    # Each secret anew, as docs/how-to/rotate-secrets.md has it, and mail goes on.
    (typed,) = [
        block.text for block in blocks("how-to/rotate-secrets.md") if block.file == "compose"
    ]
    for line in typed.splitlines():
        command = line.removeprefix("docker compose -f postfix/compose.yaml ")
        assert command != line
        composed.run(*shlex.split(command.replace("mail.example.com", "mail.test.com")))
    nodes = ("lamson1", "lamson2")
    wait_for(
        lambda: all("every worker was replaced" in composed.run("logs", one) for one in nodes),
        "both nodes to be reloaded",
    )
    wait_for(composed.send, "Postfix takes a second letter", timeout=90)
    wait_for(lambda: len(answers(composed)) == 2, "the second answer arrives in the world")
