"""Who has no key makes no address, and who has an address uses it once: tried from outside."""

from __future__ import annotations

import smtplib
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from lamson.message.notes import Notary
from lamson.routing.signing import Signed, Signer
from tests.service import LamsonService

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.security.neighbour import Neighbour

pytestmark = pytest.mark.slow

SETTINGS = """
from lamson.settings import Settings
settings = Settings(database="sqlite:///run/lamson.db", handlers=["app.handlers"], metadata=None)
"""
HANDLERS = """
from lamson import Signed, route, stateless
from sqlalchemy import text
from sqlalchemy.orm import Session

@stateless
@route(r"ok-(token)@test[.]com", token=Signed("ok", days=1, once=True))
def OK(message, db: Session, token):
    db.execute(text("INSERT INTO done VALUES (:token)"), {"token": token})
"""
# A neighbour guesses, and looks for the key; he prints what he was told, each thing once.
GUESS = r"""
import random, smtplib, sys
port, key, seen, count = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
letters = "abcdefghijklmnopqrstuvwxyz234567"
told = set()
try:
    open(key)
    told.add("read the key")
except PermissionError:
    pass
client = smtplib.LMTP("127.0.0.1", port, local_hostname="stranger.test")
client.ehlo()
client.mail("stranger@else.test")
for number in range(count):
    place = number % len(seen)
    near = seen[:place] + random.choice(letters.replace(seen[place], "")) + seen[place + 1:]
    for guess in (near, "".join(random.choices(letters, k=len(seen))), near.upper(), near[:-1]):
        code, text = client.rcpt(f"ok-{guess}@test.com")
        told.add(f"{code} {text.decode()}")
print("\n".join(sorted(told)))
"""
# Somebody who was sent a token uses it over many connections at once, data sent before any answer.
REPLAY = r"""
import smtplib, sys
port, count, addresses = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
clients = []
for number in range(count):
    client = smtplib.LMTP("127.0.0.1", port, local_hostname="stranger.test")
    client.ehlo()
    client.mail(f"victim{number}@else.test")
    for address in addresses:
        code, text = client.rcpt(address)
        assert code == 250, text
    code, text = client.docmd("DATA")
    assert code == 354, text
    clients.append(client)
for client in clients:
    client.send(b"From: victim@else.test\r\nSubject: yes\r\n\r\nyes\r\n.\r\n")
for client in clients:
    for address in addresses:
        code, text = client.getreply()
        print(code, text.decode())
"""


@pytest.fixture
def service(street: Path) -> Iterator[LamsonService]:
    project = street / "project"
    for name, text in {
        "config/settings.py": SETTINGS,
        "app/__init__.py": "",
        "app/handlers.py": HANDLERS,
    }.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    lamson = LamsonService(project)
    lamson.command("syncdb")
    with closing(sqlite3.connect(project / "run/lamson.db")) as database:
        database.execute("CREATE TABLE done (token TEXT)")
    with lamson:
        yield lamson


def sign(service: LamsonService, payload: str) -> str:
    key = Notary.of(service.project / "run", None).key("signed addresses")
    return Signer(lambda: (key,)).sign(Signed("ok", days=1, once=True), payload)


def done(service: LamsonService) -> list[str]:
    with closing(sqlite3.connect(service.project / "run/lamson.db")) as database:
        return [token for (token,) in database.execute("SELECT token FROM done ORDER BY 1")]


def test_a_neighbour_makes_no_address(service: LamsonService, neighbour: Neighbour) -> None:
    """Also not one that is near to another's, which he has seen; and no answer differs."""
    key = service.project / "run/notes.key"
    assert key.exists()
    tried = neighbour.python(GUESS, str(service.port), str(key), sign(service, "zed"), "300")
    assert tried.stdout.splitlines() == ["550 5.1.1 No route for this recipient"], tried.stderr
    assert done(service) == []


def test_who_was_sent_an_address_uses_it_once(service: LamsonService, neighbour: Neighbour) -> None:
    token, other = sign(service, "zed"), sign(service, "joe")
    addresses = [f"ok-{token}@test.com", f"OK-{other.upper()}@test.com"]
    used = neighbour.python(REPLAY, str(service.port), "10", *addresses)
    assert used.returncode == 0, used.stderr
    replies = used.stdout.splitlines()
    assert len(replies) == 20
    assert set(replies) == {"250 2.0.0 Ok"}, "nobody's name makes us bounce to him"
    assert done(service) == ["joe", "zed"]
    kept = service.project / "run/undeliverable/new"
    assert len(list(kept.iterdir())) == 18
    for one in addresses * 3:
        with smtplib.LMTP("127.0.0.1", service.port) as client:
            client.ehlo()
            client.sendmail("zed@example.com", [one], b"Subject: yes\r\n\r\nyes\r\n")
    assert done(service) == ["joe", "zed"]
    assert len(list(kept.iterdir())) == 20, "nor fills our disk: of each token ten are kept"
