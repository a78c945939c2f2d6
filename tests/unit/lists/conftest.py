"""A list server in a page, and the lists that it has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy.orm import Session

from lamson.lists import MailingList
from lamson.testing import Conversation
from tests.unit.support import make_mailroom

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lamson.testing import Mailroom

SOURCE = """
from datetime import datetime

from sqlalchemy.orm import Session

from lamson import Delivery, Mailer, MailRequest, Outcome, every, outcome, route, stateless
from lamson.lists import COMMANDS, TOKEN, MailingList, Policies, list_of

RECORDS = {"_dmarc.strict.test": ["v=DMARC1; p=reject"]}
NO_DNS = Policies(lambda name, timeout: RECORDS.get(name, []), patience=60)
RESULTS = []
OPTIONS = {}


def make(address: str) -> MailingList:
    options = {"one_click": "https://lists.test.com/leave/", "policies": NO_DNS}
    return MailingList(address, **(options | OPTIONS.get(address.lower(), {})))


@route("(name)@test.com", name="[a-z]+")
@stateless
def post(message: MailRequest, delivery: Delivery, db: Session, name: str) -> None:
    RESULTS.append(make(f"{name}@test.com").post(message, delivery, db))


@route("(name)-(what)@test.com", name="[a-z]+", what=COMMANDS)
@stateless
def command(message: MailRequest, delivery: Delivery, db: Session, name: str, what: str) -> None:
    make(f"{name}@test.com").command(what, message, delivery, db)


@route("(name)[+](token)@test.com", name="[a-z]+", token=TOKEN)
@stateless
def answer(message: MailRequest, delivery: Delivery, db: Session, name: str, token: str) -> None:
    make(f"{name}@test.com").answered(token, message, delivery, db)


@outcome
def became(outcome: Outcome, mailer: Mailer, db: Session) -> None:
    if address := list_of(outcome, db):
        make(address).bounced(outcome, mailer, db)


@every("1 day", at="06:00")
def digest(slot: datetime, mailer: Mailer, db: Session) -> None:
    make("users@test.com").digest(mailer, db)
"""

USERS = MailingList("users@test.com")


@pytest.fixture
def mailroom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailroom]:
    made = make_mailroom(tmp_path, monkeypatch, SOURCE, authserv_id="mx.test.com")
    yield made
    made.close()


@pytest.fixture
def db(mailroom: Mailroom) -> Iterator[Session]:
    engine = mailroom.database.engine.execution_options(isolation_level="AUTOCOMMIT")
    with Session(engine) as session:
        yield session


@pytest.fixture
def person(mailroom: Mailroom) -> Callable[[str], Conversation]:
    return lambda address: Conversation(mailroom, address)
