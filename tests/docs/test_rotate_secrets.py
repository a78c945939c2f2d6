"""docs/how-to/rotate-secrets.md, typed: a reload takes what is new, and no mail is lost."""

from __future__ import annotations

import re
import smtplib
import sqlite3
import ssl
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from lamson.routing.signing import Signed, Signer
from tests.certificates import Authority
from tests.docs.project import Project
from tests.waiting import free_port, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

PAGE = "how-to/rotate-secrets.md"
RELOAD = {"systemctl reload lamson-mymailserver": "kill -HUP $(head -1 run/lamson.pid)"}


class Relay:
    """A submission server that wants the password that stands in a file."""

    def __init__(self, password: Path) -> None:
        self.taken: list[bytes] = []
        self.refused = 0
        self._password = password
        self.port = free_port()

    def _is_right(
        self, server: Any, session: Any, envelope: Any, mechanism: str, login: Any
    ) -> AuthResult:
        is_right = login.login == b"lists" and login.password == self._password.read_bytes()
        self.refused += not is_right
        return AuthResult(success=is_right)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.taken.append(envelope.content)
        return "250 2.0.0 Ok: queued as 4ZxWQk0000z5tVb"

    def __enter__(self) -> Relay:
        self._controller = Controller(
            self,
            hostname="127.0.0.1",
            port=self.port,
            authenticator=self._is_right,
            auth_require_tls=False,
        )
        self._controller.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._controller.stop()

    def restart(self) -> None:
        """As `postfix reload` does in time: connections that are open end."""
        self.__exit__()
        self.__enter__()


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    project = Project(tmp_path)
    yield project
    project.close()


def reloaded(project: Project, count: int) -> None:
    log = project.directory / "logs" / "lamson.log"
    wait_for(lambda: log.read_text().count("every worker was replaced") == count, "a reload")
    pid = (project.directory / "run" / "lamson.pid").read_text().split()[0]
    children = Path(f"/proc/{pid}/task/{pid}/children")
    wait_for(lambda: len(children.read_text().split()) == 1, "the old worker is gone")


def test_the_password_for_submission(project: Project) -> None:
    secret, known = project.directory / "submission-secret", project.directory / "postfix-knows"
    for file in (secret, known):
        file.write_text("the old one")
        file.chmod(0o600)
    with Relay(known) as relay:
        project.type(
            f"export LAMSON_SUBMISSION__SERVER=127.0.0.1:{relay.port}",
            "export LAMSON_SUBMISSION__USER=lists",
            f"export LAMSON_SUBMISSION__SECRET_FILE={secret}",
            "lamson start",
        )
        project.send(1)
        wait_for(lambda: len(relay.taken) == 1, "the first answer")

        known.write_text("another one")  # in the middle: Postfix knows it, the service does not
        relay.restart()
        project.send(2)
        wait_for(lambda: relay.refused, "an attempt with the old one")
        assert len(relay.taken) == 1

        place = {
            "/etc/lamson/mymailserver": str(project.directory),
            "chgrp lamson-mymailserver": "chgrp $(id -g)",
            "saslpasswd2 -p -c -u mail.example.com lists": "cat > postfix-knows",
        }
        project.follow(PAGE, "submission", **place, **RELOAD)
        reloaded(project, 1)
        assert secret.read_text() == known.read_text() + "\n"
        assert secret.stat().st_mode & 0o777 == 0o640
        project.type("lamson outbox -retry ALL")
        project.send(3)
        wait_for(lambda: len(relay.taken) == 3, "both answers that waited")
    assert project.counted() == [1, 2, 3]


SIGNED = """\
from lamson import Delivery, MailRequest, Signed, route, stateless


@stateless
@route("ask@(host)")
@route("ok-(token)@(host)", token=Signed("ok", days=3))
def ASK(message: MailRequest, delivery: Delivery, host: str, token: str = "") -> None:
    delivery.reply(body="x", sender=f"ok-{delivery.sign('ok', 'x')}@{host}", subject="signed")
"""
OK = Signed("ok", days=3)


def codes(project: Project, *tokens: str) -> list[int]:
    """What RCPT is answered for addresses with these."""
    with smtplib.LMTP("127.0.0.1", project.port, timeout=60) as client:
        client.ehlo()
        client.mail("zed@example.com")
        return [client.rcpt(f"ok-{token}@test.com")[0] for token in tokens]


def asked(project: Project, number: int) -> str:
    """A token that the service has made."""
    project.send(number, user="ask")
    with closing(sqlite3.connect(project.directory / "run/lamson.db")) as connection:
        rows = connection.execute("SELECT content FROM lamson_outbox ORDER BY id DESC LIMIT 1")
        (content,) = rows.fetchone()
    found = re.search(rb"From: ok-(\w+)@", content)
    assert found is not None
    return found[1].decode()


def test_the_keys_of_signed_addresses(project: Project) -> None:
    secret = project.directory / "signing-secret"
    secret.write_text(f"{'old ' * 8}\n".replace(" ", ""))
    secret.chmod(0o600)
    (project.directory / "app/handlers/counting.py").write_text(SIGNED)
    project.type(f"export LAMSON_SIGNING__SECRET_FILE={secret}", "lamson start")
    place = {
        "/etc/lamson/mymailserver": str(project.directory),
        "chgrp lamson-mymailserver": "chgrp $(id -g)",
    }

    def signer() -> Signer:
        keys = [key.encode() for key in secret.read_text().split()]
        return Signer(lambda: keys)

    old = asked(project, 1)
    for count, step in enumerate(("signing", "signing-first"), 1):
        project.follow(PAGE, step, **place, **RELOAD)
        reloaded(project, count)
        newest = asked(project, count + 1)
        both = signer()
        assert codes(project, old, newest, both.sign(OK, "y"), old[::-1]) == [250, 250, 250, 550]
    assert secret.stat().st_mode & 0o777 == 0o640
    project.follow(PAGE, "signing-last", **place, **RELOAD)
    reloaded(project, 3)
    assert len(secret.read_text().split()) == 1
    assert codes(project, old, newest) == [550, 250]


def shown_certificate(project: Project) -> bytes:
    """What the LMTP server shows to who says STARTTLS."""
    with smtplib.LMTP("127.0.0.1", project.port, timeout=60) as client:
        client.ehlo()
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        client.starttls(context=context)
        assert isinstance(client.sock, ssl.SSLSocket)
        found = client.sock.getpeercert(binary_form=True)
        assert found is not None
        return found


def test_the_certificate_of_the_lmtp_server(project: Project, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")

    def lay(ending: str) -> None:
        for file, name in zip(authority.issue("lamson.test"), ("pem", "key"), strict=True):
            file.rename(project.directory / f"lmtp.{name}{ending}")

    lay("")
    project.type(
        f"export LAMSON_LMTP__TLS_CERTIFICATE={project.directory}/lmtp.pem",
        f"export LAMSON_LMTP__TLS_KEY={project.directory}/lmtp.key",
        "lamson start",
    )
    before = shown_certificate(project)
    lay(".new")
    (project.directory / "lmtp.key.new").rename(project.directory / "lmtp.key")
    project.type("kill -HUP $(head -1 run/lamson.pid)")
    log = project.directory / "logs" / "lamson.log"
    wait_for(lambda: "its replacement failed" in log.read_text(), "a pair that does not fit")
    assert shown_certificate(project) == before, "the old worker stays"
    lay(".new")
    project.follow(PAGE, "certificate", **RELOAD)
    reloaded(project, 1)
    assert shown_certificate(project) != before
