"""lamson.mailer: mail in the caller's transaction or one of its own, from any thread or process."""

from __future__ import annotations

import asyncio
import importlib
import os
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, nullcontext
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from lamson import Key, Mailer
from lamson import mailer as mailers
from lamson.app import Application, postroom
from lamson.errors import DatabaseError, LamsonError, PurposeError, SenderError, SettingsError
from lamson.relay import relay
from lamson.relay.submission import Outcome
from lamson.settings import Settings, Submission
from lamson.settings.routes import collect_routes
from lamson.storage import doorbell, tasks, tracked
from lamson.storage.database import Database
from lamson.storage.outbox import Outbox
from lamson.storage.tables import SCHEMA_REVISION, VERSION_TABLE
from tests.unit.relay.rig import until
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from sqlalchemy.engine import Engine

    from lamson.message.response import MailResponse
    from lamson.storage.outgoing import Outgoing


@pytest.fixture
def settings(database: Database, database_url: str, tmp_path: Path) -> Settings:
    with database.begin() as connection:  # as migrations leave it
        connection.execute(text(f"CREATE TABLE {VERSION_TABLE} (version_num VARCHAR(32))"))
        connection.execute(text(f"INSERT INTO {VERSION_TABLE} VALUES ('{SCHEMA_REVISION}')"))
    (tmp_path / "run").mkdir()
    (tmp_path / "templates").mkdir()
    return Settings(
        database=database_url,
        handlers=[],
        domains=["test.com"],
        run_dir=tmp_path / "run",
        templates=[tmp_path / "templates"],
    )


@pytest.fixture
def mailer(settings: Settings) -> Iterator[Mailer]:
    mailer = Mailer(settings)
    yield mailer
    mailer.close()


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """One of a web application, on the same database by other words."""
    url = make_url(database_url)
    if url.get_backend_name() == "sqlite":
        assert url.database is not None
        engine = create_engine(f"sqlite:///file:{os.path.relpath(url.database)}?uri=true")
    else:  # where our tables are is for the mailer to know
        engine = create_engine(url.set(query={}, drivername="postgresql+psycopg"))
    yield engine
    engine.dispose()


def mail(mailer: Mailer, body: str = "Hello.", **options: Any) -> MailResponse:
    given = {"to": "zed@example.com", "sender": "shop@test.com", "subject": "Your order"}
    return mailer.compose(body=body, **(given | options))


def waiting(database: Database) -> list[str]:
    return [row.message_id for row in Outbox(database, "look").all()]


def test_mail_is_committed_by_itself(mailer: Mailer, database: Database) -> None:
    message = mail(mailer)
    message_id = mailer.send(message)
    [row] = Outbox(database, "look").all()
    assert (row.message_id, row.sender, row.recipients) == (
        message_id,
        "shop@test.com",
        ("zed@example.com",),
    )
    assert (row.lease_until, row.attempts) == (0, 0)
    assert row.source.startswith("mailer-")
    [claimed] = Outbox(database, "service").claim(10)
    assert b"Hello." in claimed.content
    with pytest.raises(LamsonError, match="was sent and cannot be changed"):
        message["Subject"] = "late"


def test_mail_is_committed_with_the_callers_work(
    mailer: Mailer, database: Database, engine: Engine
) -> None:
    with Session(engine) as session:
        mailer.send(mail(mailer), session)
        assert waiting(database) == []
        session.rollback()
        sent = [mailer.send(mail(mailer), session), mailer.send(mail(mailer), session)]
        session.commit()
        assert waiting(database) == sent
        mailer.send(mail(mailer), session)
    with engine.connect() as connection:
        sent.append(mailer.send(mail(mailer), connection))
        connection.commit()
        mailer.send(mail(mailer), connection)
    registry = scoped_session(sessionmaker(engine))
    sent.append(mailer.send(mail(mailer), registry))
    registry.commit()
    registry.remove()
    assert waiting(database) == sent


def test_mail_is_committed_with_the_callers_work_on_a_loop(
    mailer: Mailer, database: Database, database_url: str
) -> None:
    url = database_url.replace("sqlite:", "sqlite+aiosqlite:")
    url = url.replace("postgresql:", "postgresql+psycopg:")

    async def work() -> list[str]:
        engine = create_async_engine(url)
        async with AsyncSession(engine) as session:
            await mailer.send_async(mail(mailer), session)
            await session.rollback()
            with pytest.raises(TypeError, match=r"send to AsyncSession with `await mailer\.send_a"):
                mailer.send(mail(mailer), session)  # type: ignore[arg-type]
            sent = [await mailer.send_async(mail(mailer), session, key="one")]
            assert await mailer.send_async(mail(mailer), session, key="one") == sent[0]
            await session.commit()
        async with engine.begin() as connection:
            sent.append(await mailer.send_async(mail(mailer), connection))
            later = time.time() + 3600
            await mailer.send_async(mail(mailer), connection, key="two", at=later)
            assert await mailer.cancel_async("two", connection)
        sent.append(await mailer.send_async(mail(mailer)))
        assert not await mailer.cancel_async("two")
        await engine.dispose()
        return sent

    assert asyncio.run(work()) == waiting(database)


def test_a_transaction_of_the_project_is_for_work_and_mail(
    mailer: Mailer, database: Database
) -> None:
    with mailer.begin() as db:
        db.execute(text("CREATE TABLE orders (number INTEGER)"))

    def fail() -> None:
        with mailer.begin() as db:
            db.execute(text("INSERT INTO orders VALUES (1)"))
            mailer.send(mail(mailer), db)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert waiting(database) == []
    with mailer.begin() as db:
        assert db.execute(text("SELECT count(*) FROM orders")).scalar() == 0
        mailer.send(mail(mailer), db)
    assert len(waiting(database)) == 1


def test_a_key_makes_it_once_across_transactions(
    mailer: Mailer, database: Database, engine: Engine, settings: Settings
) -> None:
    with Session(engine) as session:
        mailer.send(mail(mailer), session, key="invoice-17")
        session.rollback()
        first = mailer.send(mail(mailer), session, key="invoice-17")
        session.commit()
    other = Mailer(settings)
    assert other.send(mail(other), key=Key("invoice-17", days=1)) == first
    assert other.send(mail(other), key=Key("invoice-18", days=1)) != first
    other.close()
    assert len(waiting(database)) == 2


def test_many_at_once_send_it_once(mailer: Mailer, database: Database, engine: Engine) -> None:
    given: list[str] = []

    def send(number: int) -> None:
        if number % 2:
            given.append(mailer.send(mail(mailer), key="one"))
        else:
            with Session(engine) as session:
                given.append(mailer.send(mail(mailer), session, key="one"))
                session.commit()

    threads = [threading.Thread(target=send, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert waiting(database) == [given[0]]
    assert given == [given[0]] * 6


def test_what_fails_uses_no_key(mailer: Mailer, database: Database) -> None:
    with pytest.raises(SenderError, match="in none of our domains"):
        mailer.send(mail(mailer, sender="eve@example.com"), key="one")
    with pytest.raises(ValueError, match="at least one recipient"):
        mailer.send(mail(mailer), key="one", to=[])
    assert waiting(database) == []
    assert [mailer.send(mail(mailer), key="one")] == waiting(database)


def test_mail_waits_for_its_time_and_is_taken_back(
    mailer: Mailer, database: Database, engine: Engine
) -> None:
    at = time.time() + 3600
    first = mailer.send(mail(mailer), at=at, key="remind")
    assert waiting(database) == []
    [row] = Outbox(database, "look").scheduled()
    assert (row.message_id, row.due_at) == (first, at)
    with Session(engine) as session:
        assert mailer.cancel("remind", session)
        session.rollback()
        assert mailer.cancel("remind", session)
        assert mailer.send(mail(mailer), session, at=at, key="remind") != first
        session.commit()
    assert mailer.cancel("remind")
    assert not mailer.cancel("remind")


def test_a_message_is_sent_as_it_is(mailer: Mailer, database: Database) -> None:
    content = b"Message-ID: <mine@test.com>\r\nSubject: x\r\n\r\ny\r\n"
    with pytest.raises(TypeError, match="needs sender= and to="):
        mailer.send(content)
    assert mailer.send(content, sender="", to="zed@example.com") == "<mine@test.com>"
    [row] = Outbox(database, "service").claim(10)
    assert (row.content, row.sender, row.recipients) == (content, "", ("zed@example.com",))


def test_mail_is_tracked_for_a_module(
    settings: Settings, database: Database, engine: Engine
) -> None:
    signing = settings.signing.model_copy(update={"secret": SecretStr("k" * 40)})
    mailer = Mailer(settings.model_copy(update={"signing": signing}))
    with Session(engine) as session:
        mailer.send(mail(mailer), session, track=True, module="app.handlers.shop")
        session.commit()
    [row] = Outbox(database, "look").all()
    assert row.sender.startswith("bounces+")
    assert row.sender.endswith("@test.com")
    with database.begin() as connection:
        kept = tracked.get(connection, row.envid)
    assert kept is not None
    assert (kept.module, kept.recipients) == ("app.handlers.shop", ("zed@example.com",))
    mailer.close()


def test_a_module_that_there_is_not_is_told_when_it_is_named(settings: Settings) -> None:
    mailer = Mailer(settings.model_copy(update={"handlers": ["app.handlers.shop"]}))
    with pytest.raises(ValueError, match=r"no handler module .* app\.handlers\.shop"):
        mailer.send(mail(mailer), track=True, module="app.handlers.shpo")


@pytest.fixture
def caller(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Mailer, Any]]:
    """A Mailer of a project with a `@background` function, and its handler module."""
    (tmp_path / "handlers_that_call.py").write_text(
        "from lamson import Attempt, background\n\n\ndef plain(): ...\n\n\n"
        "@background\ndef tell(who: str, attempt: Attempt, times: int = 1): ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    mailer = Mailer(settings.model_copy(update={"handlers": ["handlers_that_call"]}))
    yield mailer, importlib.import_module("handlers_that_call")
    mailer.close()
    del sys.modules["handlers_that_call"]


def asked_for(database: Database) -> list[tuple[str, Any]]:
    with database.read() as connection:
        return [
            (task.payload["key"], task.payload["arguments"]) for task in tasks.waiting(connection)
        ]


def test_work_is_handed_over_in_the_transaction_of_the_caller(
    caller: tuple[Mailer, Any], database: Database, engine: Engine
) -> None:
    mailer, handlers = caller
    with Session(engine) as session:
        mailer.later(handlers.tell, "zed", session=session, key="gone")
        session.rollback()
        mailer.later(handlers.tell, "zed", session=session, key="one")
        mailer.later("handlers_that_call.tell", "zed", times=7, session=session, key="one")
        assert asked_for(database) == []
        session.commit()
    own = mailer.later("handlers_that_call.tell", who="ann", times=2)
    assert asked_for(database) == [
        ("one", {"who": "zed"}),
        (own, {"who": "ann", "times": 2}),
    ]


def test_work_is_handed_over_on_a_loop(
    caller: tuple[Mailer, Any], database: Database, database_url: str
) -> None:
    mailer, handlers = caller
    url = database_url.replace("sqlite:", "sqlite+aiosqlite:")
    url = url.replace("postgresql:", "postgresql+psycopg:")

    async def order() -> None:
        engine = create_async_engine(url)
        async with AsyncSession(engine) as session:
            await mailer.later_async(handlers.tell, "zed", session=session, key="one")
            await session.commit()
        await mailer.later_async("handlers_that_call.tell", "ann", key="two")
        await engine.dispose()

    asyncio.run(order())
    assert [key for key, _ in asked_for(database)] == ["one", "two"]


def test_work_that_cannot_be_done_is_refused(caller: tuple[Mailer, Any]) -> None:
    mailer, handlers = caller
    for unknown in (print, handlers.plain, "handlers_that_call.tel"):
        with pytest.raises(LamsonError, match=r"there are: handlers_that_call\.tell$"):
            mailer.later(unknown)
    with pytest.raises(TypeError, match="takes no how"):
        mailer.later(handlers.tell, "zed", how="loud")
    with pytest.raises(TypeError, match="JSON"):
        mailer.later(handlers.tell, object())


def test_it_signs_for_the_routes_of_the_project(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "handlers_that_confirm.py").write_text(
        "from lamson import Signed, route, stateless\n"
        '@route("ok-(token)@(host)", token=Signed("confirm", days=3))\n'
        "@stateless\ndef confirm(message, token, host): ...\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    more = {
        "handlers": ["handlers_that_confirm"],
        "route_defaults": {"host": "test.com"},
        "signing": settings.signing.model_copy(update={"secret": SecretStr("k" * 40)}),
    }
    wanted = settings.model_copy(update=more)
    token = Mailer(wanted).sign("confirm", "zed")
    (match,) = collect_routes(wanted).match(f"ok-{token}@test.com")
    assert match.captures["token"] == "zed"
    with pytest.raises(PurposeError, match="confirm"):
        Mailer(wanted).sign("subscribe")


def test_mail_to_many_is_stored_once(settings: Settings, database: Database) -> None:
    few = settings.model_copy(update={"submission": Submission(max_recipients=2)})
    mailer = Mailer(few)
    to = [f"user{number}@example.com" for number in range(5)]
    mailer.send(mail(mailer, to=to, body="0123456789" * 100))
    rows = Outbox(database, "service").claim(10)
    assert [len(row.recipients) for row in rows] == [2, 2, 1]
    assert len({row.shared for row in rows} - {0}) == 1
    assert len({row.content for row in rows}) == 1
    mailer.close()


def test_templates_are_those_of_the_project(mailer: Mailer, settings: Settings) -> None:
    [directory] = settings.templates
    (directory / "hello.txt").write_text("Hello ${name}.\n")
    (directory / "hello.de.txt").write_text("Hallo ${name}.\n")
    (directory / "note.md").write_text("# Hello ${name}\n")
    given: dict[str, Any] = {"to": "z@example.com", "sender": "a@test.com", "subject": "x"}
    assert mailer.compose("hello.txt", name="Zed", **given).body == "Hello Zed.\n"
    assert mailer.compose("hello.txt", name="Zed", language="de", **given).body == "Hallo Zed.\n"
    assert "<h1>Hello Zed</h1>" in (mailer.compose("note.md", name="Zed", **given).html or "")
    with pytest.raises(LamsonError, match="'name' is not defined"):
        mailer.compose("hello.txt", **given)


def test_the_routes_are_asked_where_no_setting_names_the_domain(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "handlers_of_mailer.py").write_text(
        "from lamson import route\n@route(r'a@other\\.com')\ndef START(message): pass\n"
    )
    with_routes = settings.model_copy(update={"handlers": ["handlers_of_mailer"]})
    mailer = Mailer(with_routes)
    mailer.send(mail(mailer))
    assert "handlers_of_mailer" not in sys.modules
    mailer.send(mail(mailer, sender="a@other.com"))
    assert sys.modules.pop("handlers_of_mailer")
    with pytest.raises(SenderError, match="in none of our domains"):
        mailer.send(mail(mailer, sender="a@third.com"))
    mailer.close()
    lost = Mailer(settings.model_copy(update={"handlers": ["no_such_module"]}))
    with pytest.raises(SenderError, match=r"third\.com is ours cannot be told.*no_such_module"):
        lost.send(mail(lost, sender="a@third.com"))
    anybody = settings.model_copy(update={"submission": Submission(any_sender=True)})
    free = Mailer(anybody)
    free.send(mail(free, sender="a@third.com"))
    lost.close()
    free.close()


def test_a_session_on_another_database_is_refused(mailer: Mailer, tmp_path: Path) -> None:
    other = create_engine(f"sqlite:///{tmp_path}/other.db")
    why = "on another database than the outbox"
    with Session(other) as session, pytest.raises(LamsonError, match=why):
        mailer.send(mail(mailer), session)
    memory = create_engine("sqlite://")
    with memory.connect() as connection, pytest.raises(LamsonError, match=why):
        mailer.send(mail(mailer), connection)
    memory.dispose()
    with pytest.raises(TypeError, match="an SQLAlchemy Session or Connection, not str"):
        mailer.send(mail(mailer), "session")  # type: ignore[arg-type]
    other.dispose()


def test_a_connection_without_transactions_is_refused(mailer: Mailer, engine: Engine) -> None:
    options = {"isolation_level": "AUTOCOMMIT"}
    made = create_engine(engine.url, **options)
    for connection in (engine.connect().execution_options(**options), made.connect()):
        with connection, pytest.raises(LamsonError, match="commits each statement by itself"):
            mailer.send(mail(mailer), connection)
    made.dispose()


def test_a_database_without_our_tables_is_told(tmp_path: Path, settings: Settings) -> None:
    empty = settings.model_copy(update={"database": f"sqlite:///{tmp_path}/empty.db"})
    mailer = Mailer(empty)
    with pytest.raises(DatabaseError, match="run `lamson syncdb`"):
        mailer.send(mail(mailer))
    mailer.close()
    with pytest.raises(SettingsError, match="there is no outbox to put mail into"):
        Mailer(settings.model_copy(update={"database": None}))


def test_a_forked_process_has_connections_of_its_own(mailer: Mailer, database: Database) -> None:
    mailer.send(mail(mailer))
    with mailer._lock:  # as another thread may have it
        pid = os.fork()
        if pid == 0:
            try:
                mailer.send(mail(mailer))
                os._exit(0)
            finally:
                os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    mailer.send(mail(mailer))
    assert len(waiting(database)) == 3


DAEMON = """
import os, pathlib, sys, time
from lamson import Mailer
from lamson.settings import Settings

place = pathlib.Path(sys.argv[2])
mailer = Mailer(Settings(
    database=sys.argv[1], handlers=[], domains=["test.com"], run_dir=place, templates=[place]
))

def send():
    mailer.send(mailer.compose(to="a@example.com", sender="b@test.com", subject="x", body="x"))

send()
if os.fork():
    os._exit(0)
send()
(place / "sent").touch()
while not (place / "go").exists():
    time.sleep(0.01)
send()
(place / "done").touch()
"""


def test_a_daemon_that_used_it_before_it_forked_loses_nothing(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    """Else its connection had no locks, and who closes the file meanwhile took it for his alone."""
    if not database.is_sqlite:
        pytest.skip("a server has the locks")
    assert settings.database is not None
    database.close()
    place = settings.run_dir
    subprocess.run([sys.executable, "-c", DAEMON, settings.database, place], check=True)
    wait_for((place / "sent").exists, "a daemon that sends")
    with closing(sqlite3.connect(make_url(settings.database).database or "")) as other:
        other.execute("UPDATE lamson_outbox SET attempts = 1")
        other.commit()
    (place / "go").touch()
    wait_for((place / "done").exists, "a daemon that sends once more")
    assert len(waiting(database)) == 3


@pytest.fixture
def rings(settings: Settings, database: Database) -> Iterator[Callable[[], int]]:
    """How often the bell rang since the last time that this was asked."""
    if database.is_sqlite:
        bell = doorbell.listen(settings.run_dir)

        def count() -> int:
            number = 0
            while True:
                try:
                    bell.recv(1)
                except BlockingIOError:
                    return number
                number += 1

        yield count
        bell.close()
    else:
        with database.read() as connection:
            schema = connection.execute(text("SELECT current_schema()")).scalar()
            connection.execute(text(f"LISTEN {doorbell.channel(schema)}"))
            driver: Any = connection.connection.driver_connection
            heard: list[str] = []
            driver.add_notify_handler(lambda notification: heard.append(notification.payload))

            def count() -> int:
                ours = {"channel": doorbell.channel(schema)}  # it comes behind all earlier ones
                connection.execute(text("SELECT pg_notify(:channel, 'mine')"), ours)
                number = heard.count("")
                heard.clear()
                return number

            yield count
            connection.invalidate()


def test_the_service_is_told_with_the_commit(
    mailer: Mailer, engine: Engine, rings: Callable[[], int]
) -> None:
    mailer.send(mail(mailer))
    assert rings() == 1
    with engine.connect() as connection:
        mailer.send(mail(mailer), connection)
        mailer.send(mail(mailer), connection)
        assert rings() == 0
        connection.commit()
        assert rings() == 1
        connection.execute(text("SELECT 1"))
        connection.commit()
        assert rings() == 0
        mailer.send(mail(mailer), connection, at=time.time() + 3600)
        connection.commit()
        assert rings() == 0
        mailer.send(mail(mailer), connection)
        connection.rollback()
    assert rings() == 0
    with Session(engine) as session:
        mailer.send(mail(mailer), session)
        session.commit()
    assert rings() == 1


def test_threads_that_fork_at_a_time_leave_nobody_waiting(
    mailer: Mailer, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that began before there was a connection ends first."""
    monkeypatch.setattr(mailers, "_all", [mailer])  # without those of other tests
    has_begun, may_end = threading.Event(), threading.Event()

    def fork() -> None:
        mailers._before_fork()
        has_begun.set()
        may_end.wait(30)
        mailers._after_fork_in_parent()

    other = threading.Thread(target=fork)
    other.start()
    assert has_begun.wait(30)
    mailer.send(mail(mailer))
    mailers._before_fork()
    may_end.set()
    other.join()
    mailers._after_fork_in_parent()
    sending = threading.Thread(target=lambda: mailer.send(mail(mailer)), daemon=True)
    sending.start()
    sending.join(30)
    assert len(waiting(database)) == 2


def test_who_forks_takes_databases_in_one_order(
    mailer: Mailer, settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever order the Mailers stand in: two threads would wait for each other else."""
    both = [mailer, Mailer(settings, database=database)]
    for one in both:
        one.send(mail(one))
    taken: list[Database] = []

    def at_rest(self: Database) -> AbstractContextManager[None]:
        taken.append(self)
        return nullcontext()

    monkeypatch.setattr(Database, "at_rest", at_rest)
    for order in (both, both[::-1]):
        monkeypatch.setattr(mailers, "_all", order)
        mailers._before_fork()
        mailers._after_fork_in_parent()
    assert len(set(taken[:2])) == 2
    assert taken[:2] == taken[2:]


def test_nobody_need_hear_it(mailer: Mailer, settings: Settings, database: Database) -> None:
    settings.run_dir.rmdir()
    mailer.send(mail(mailer))
    assert len(waiting(database)) == 1


@pytest.mark.postgres
def test_a_role_of_its_own_needs_little(
    settings: Settings, database: Database, database_url: str
) -> None:
    """As docs/how-to/send-from-elsewhere.md says."""
    if database.is_sqlite:
        pytest.skip("has no roles")
    with database.begin() as connection:
        schema = connection.execute(text("SELECT current_schema()")).scalar()
        for statement in (
            f"CREATE ROLE web_{schema} LOGIN",
            f"GRANT USAGE ON SCHEMA {schema} TO web_{schema}",
            "GRANT SELECT, INSERT, UPDATE, DELETE ON lamson_outbox, lamson_content,"
            f" lamson_scheduled, lamson_keys TO web_{schema}",
            f"GRANT SELECT ON lamson_suppressed, lamson_version TO web_{schema}",
            f"GRANT SELECT, INSERT ON lamson_tracked, lamson_tasks TO web_{schema}",
        ):
            connection.execute(text(statement))
    url = make_url(database_url).set(username=f"web_{schema}").render_as_string(False)
    mailer = Mailer(settings.model_copy(update={"database": url}))
    try:
        to = [f"user{number}@example.com" for number in range(60)]
        mailer.send(mail(mailer, to=to, body="0123456789" * 100), key="one")
        mailer.send(mail(mailer), key="two", at=time.time() + 3600)
        assert mailer.cancel("two")
        assert len(waiting(database)) == 2
    finally:
        mailer.close()
        with database.begin() as connection:
            connection.execute(text(f"DROP OWNED BY web_{schema}"))
            connection.execute(text(f"DROP ROLE web_{schema}"))


def test_the_running_service_takes_it_at_once(
    mailer: Mailer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the next sweep ten minutes away."""
    monkeypatch.setattr(relay, "SWEEP_INTERVAL", 600.0)
    taken: list[str] = []

    class Server:
        async def submit(self, row: Outgoing) -> Outcome:
            taken.append(row.message_id)
            return Outcome([], "250 2.0.0 Ok")

        async def close(self) -> None:
            pass

    monkeypatch.setattr(postroom, "Submitter", lambda endpoint: Server())

    async def run() -> list[str]:
        application = Application(settings.run_dir.parent, settings)
        heard = asyncio.Event()
        relay_of_it = application.relay
        assert relay_of_it is not None

        def wake() -> None:
            relay_of_it.wake()
            heard.set()

        assert application.postroom is not None
        monkeypatch.setattr(application.postroom.bell, "_wake", wake)
        await application.start()
        async with asyncio.timeout(30):
            await heard.wait()  # it listens, and looks once more
        await until(lambda: not relay_of_it._has_room.is_set())
        sent = [await mailer.send_async(mail(mailer))]
        await until(lambda: taken == sent)
        sent.append(await mailer.send_async(mail(mailer), at=time.time() + 0.5))
        await until(lambda: taken == sent)
        await application.stop(5.0)
        return sent

    assert asyncio.run(run()) == taken
