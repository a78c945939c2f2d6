"""lamson_milter.rules: the session that a filter gets can only read; what it raises; recipients."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import sqlalchemy
from sqlalchemy import exc

from lamson.app import Application
from lamson.errors import LamsonError
from lamson.routing.domains import Domains
from lamson.settings import Milter, Settings
from lamson.smtp.reply import NO_SUCH_RECIPIENT, SMTPError
from lamson.storage.database import Database
from lamson.storage.policy import Policy
from lamson_milter.actions import Defer, Quarantine, Reject
from lamson_milter.offer import offer
from lamson_milter.rules import FAILED, Asking, recipient_check, rules_of
from lamson_milter.subjects import Connection
from tests.unit.milter.support import BY_NAME, Dialogue, make_filters, names
from tests.unit.support import make_message, make_router

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = """
from sqlalchemy import text
from sqlalchemy.orm import Session

@filter_connection
def read(client: Connection, db: Session) -> Verdict:
    return Quarantine(db.execute(text("SELECT name FROM people")).scalar_one())

@filter_connection
def write(client: Connection, db: Session) -> Verdict:
    db.execute(text("INSERT INTO people VALUES ('eve')"))
    db.commit()
"""


@pytest.fixture
def database(tmp_path: Path) -> Database:
    database = Database(f"sqlite:///{tmp_path}/db")
    with database.begin() as connection:
        connection.execute(sqlalchemy.text("CREATE TABLE people (name TEXT)"))
        connection.execute(sqlalchemy.text("INSERT INTO people VALUES ('zed')"))
    return database


def test_reading_and_writing(tmp_path: Path, database: Database) -> None:
    read, write = make_filters(tmp_path, SOURCE).connection
    client = Connection(make_message().peer)
    assert Asking(database)(read, client, {}, "-") == Quarantine("zed")
    assert Asking(database)(write, client, {}, "-") is FAILED
    with pytest.raises(exc.OperationalError, match="readonly"):
        Asking(database, raise_errors=True)(write, client, {}, "-")
    with database.begin() as connection:  # and the connection can be written to again
        connection.execute(sqlalchemy.text("INSERT INTO people VALUES ('bob')"))
        names = connection.execute(sqlalchemy.text("SELECT name FROM people")).scalars().all()
    assert names == ["zed", "bob"]
    database.close()


def test_without_a_database(tmp_path: Path) -> None:
    read, _ = make_filters(tmp_path, SOURCE).connection
    assert Asking(None)(read, Connection(make_message().peer), {}, "-") is FAILED


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (SMTPError(550, "", "no"), Reject("5.0.0", "no", 550)),
        (SMTPError(450, "4.7.1", ""), Defer("4.7.1", "Refused", 450)),
        (SMTPError(550, "5.7.1", "one\n\ntwo\tthree\x07"), Reject("5.7.1", "one\ntwo three?")),
    ],
)
def test_any_reply_of_an_smtperror_is_a_verdict(
    tmp_path: Path, error: SMTPError, verdict: Reject | Defer
) -> None:
    read, _ = make_filters(tmp_path, SOURCE).connection

    class Refusing:
        needs_session = needs_policy = False

        def call(self, *_: object) -> None:
            raise error

    one = replace(read, handler=Refusing())  # type: ignore[arg-type]
    assert Asking()(one, Connection(make_message().peer), {}, "-") == verdict


@pytest.mark.parametrize("user", ["exit", "wrong"])
def test_whatever_a_filter_does_is_451(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, user: str
) -> None:
    outcome = Dialogue(tmp_path, BY_NAME).message(*names(user))
    assert str(outcome.refusal).startswith("451 4.3.0")
    assert "id=4bYmCz0R3Dz1Xy: filter" in caplog.text


HANDLERS = """
@route("(user)@(host)", user="zed|ann")
def START(message, user, host): ...
"""


def test_recipients_in_our_domains_that_no_route_matches_are_refused(tmp_path: Path) -> None:
    router = make_router(tmp_path, HANDLERS)
    refuse = recipient_check(router, Domains(router.routes, ["declared.test"]))
    assert refuse("zed@test.com") is None
    assert refuse("bob@test.com") is NO_SUCH_RECIPIENT
    assert refuse("zed@DECLARED.test") is NO_SUCH_RECIPIENT
    assert refuse("bob@elsewhere.test") is None, "Postfix's business"


@pytest.mark.parametrize("checks", [False, True])
def test_the_rules_of_an_application(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checks: bool
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    settings = Settings(
        handlers=[make_router(tmp_path, HANDLERS).modules[0]],
        route_defaults={"host": r"test\.com"},
        run_dir=tmp_path / "run",
        milter=Milter(check_recipients=checks),
    )
    rules = rules_of(Application(tmp_path, settings))
    assert rules.filters.all == ()
    assert rules.refuse("zed@test.com") is None
    assert rules.refuse("bob@test.com") is (NO_SUCH_RECIPIENT if checks else None)


PROVEN = """
    @route("leave@(host)", proven=True)
    @stateless
    def leave(message, host): ...
"""


def test_routes_that_want_proof_have_a_filter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    settings = Settings(
        handlers=[make_router(tmp_path, PROVEN).modules[0]],
        route_defaults={"host": r"test\.com"},
        run_dir=tmp_path / "run",
        authserv_id="mx.test",
    )
    rules = rules_of(Application(tmp_path, settings))
    assert [str(one) for one in rules.filters.all] == ["lamson_milter.proving.refuse_unproven"]
    content = (
        b"Authentication-Results: mx.test; dmarc=pass header.from=example.com\r\n"
        b"From: zed@example.com\r\n\r\n"
    )
    offered = offer(rules, "zed@example.com", ["leave@test.com"], content, queue_id="4tst")
    assert offered.queued is not None
    assert offered.queued.message.proof == "dmarc"
    offered = offer(
        rules,
        "zed@example.com",
        ["leave@test.com"],
        content.replace(b"=pass", b"=fail"),
        queue_id="4tst",
    )
    assert str(offered.refusal).startswith("550 5.7.1 This address takes mail only")


GREYLIST = """
@filter_connection
def greylist(client: Connection, policy: Policy) -> Verdict:
    known = policy.count("x", within=3600) > 1
    return None if known else Defer("4.7.1", "come again")

@filter_connection
def fails(client: Connection, policy: Policy) -> Verdict:
    policy.count("failed", within=3600)
    raise ZeroDivisionError
"""


def test_what_a_policy_counts_stays_whatever_becomes_of_the_mail(
    tmp_path: Path, database: Database
) -> None:
    policy = Policy.beside(database)
    greylist, fails = make_filters(tmp_path, GREYLIST).connection
    client, asking = Connection(make_message().peer), Asking(database, policy)
    assert asking(greylist, client, {}, "-") == Defer("4.7.1", "come again")
    assert asking(greylist, client, {}, "-") is None
    assert asking(fails, client, {}, "-") is FAILED
    assert policy.count("failed", within=3600, by=0) == 1


def test_a_policy_needs_a_database(tmp_path: Path) -> None:
    greylist, _ = make_filters(tmp_path, GREYLIST).connection
    with pytest.raises(LamsonError, match="a Policy needs a database"):
        Asking(raise_errors=True)(greylist, Connection(make_message().peer), {}, "-")
