"""Pages about what waits in the database."""

from __future__ import annotations

import re
import time
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy
from sqlalchemy import event, text

from lamson.delivery import timers
from lamson.storage import suppressed, tasks
from lamson.storage.database import Database
from lamson.storage.outbox import Outbox
from lamson.storage.outgoing import Outgoing
from lamson.storage.state import SqlStateStore, StateKey
from lamson.storage.suppressed import Suppressed
from lamson.storage.tables import (
    SCHEMA_REVISION,
    VERSION_TABLE,
    thread_messages,
    thread_participants,
    threads,
)
from lamson.storage.tasks import Task
from lamson.web import records
from lamson.web.journal_mails import JournalMails
from tests.faults.proxy import Proxy, Swallow
from tests.web.conftest import HOST, PASSWORD

if TYPE_CHECKING:
    from tests.postgres import PostgresInstance
    from tests.web.conftest import House, Visitor


@pytest.fixture
def tables(house: House) -> Database:
    assert house.window.database is not None
    return house.window.database


def test_states_are_shown_by_pages_found_and_reset(visitor: Visitor, tables: Database) -> None:
    keys = [StateKey("app.a", f"u{number:03}@example.com") for number in range(60)]
    keys += [StateKey("app.b", "u001@example.com")]
    with tables.begin() as connection:
        SqlStateStore(connection).save(dict.fromkeys(keys, "<WAITING>"))
        tasks.put(connection, [Task(timers.KIND, timers.name_of(keys[1]), {}, time.time() + 9000)])
    page = visitor.get("/states").text
    assert page.count("&lt;WAITING&gt;") == 50
    more = re.search(r'href="(/states\?after=[^"]+)"', page)
    assert more is not None
    assert visitor.get(more[1]).text.count("&lt;WAITING&gt;") == 11
    found = visitor.get("/states?author=U001@example.com").text
    assert found.count("&lt;WAITING&gt;") == 2
    visitor.post("/states", machine="app.a", author="u001@example.com")
    assert visitor.get("/states?author=u001@example.com").text.count("&lt;WAITING&gt;") == 1
    with tables.read() as connection:
        assert not tasks.waiting(connection), "who begins anew waits for no timeout"


def test_the_outbox_shows_what_is_due_and_what_is_later(visitor: Visitor, tables: Database) -> None:
    box = Outbox(tables, "test")
    later = time.time() + 9000
    with tables.begin() as connection:
        made = box.insert(
            connection,
            [
                Outgoing("s", "<1@x>", "app@test.com", ("now@example.com",), b"x"),
                Outgoing("s", "<2@x>", "app@test.com", ("later@example.com",), b"x", due_at=later),
            ],
        )
    page = visitor.get("/outbox").text
    assert "now@example.com" in page
    assert "in 2 h" in page
    (waiting,) = box.scheduled()
    assert "is tried" in visitor.post("/outbox", id=str(waiting.id), do="retry").text
    assert "Dropped" in visitor.post("/outbox", id=str(made[0].id), do="drop").text
    assert "may have been sent" in visitor.post("/outbox", id="1", do="drop").text
    assert "expected a number" in visitor.post("/outbox", id="x", do="drop").text
    assert box.count() == 0


def test_timers_are_shown_hurried_and_dropped(visitor: Visitor, tables: Database) -> None:
    payload = {"machine": "m", "author": "zed@example.com", "module": "app.a", "state": "ASKED"}
    with tables.begin() as connection:
        tasks.put(connection, [Task("timer", "t", payload, due_at=time.time() + 90000)])
    page = visitor.get("/timers").text
    assert "zed@example.com in app.a.ASKED" in page
    with tables.read() as connection:
        (task,) = tasks.waiting(connection)
    visitor.post("/timers", id=str(task.id), do="drop")
    assert "not there any more" in visitor.post("/timers", id=str(task.id), do="retry").text
    assert "No work waits" in visitor.get("/timers").text


def test_a_page_behind_any_number_is_a_page(visitor: Visitor, tables: Database) -> None:
    for path in ("/timers?after=1,", "/outbox?after=", "/outbox?later=1,"):
        assert visitor.get(f"{path}{2**63}").status_code == 200
    for path in ("/timers", "/outbox"):
        assert "expected a number" in visitor.post(path, id=str(2**63), do="drop").text


def test_threads_are_shown_with_who_takes_part(visitor: Visitor, tables: Database) -> None:
    with tables.begin() as connection:
        connection.execute(
            threads.insert(),
            [
                {"id": f"t{one}", "modules": "app.a", "subject": f"about {one}", "used_at": one}
                for one in range(60)
            ],
        )
        connection.execute(
            thread_participants.insert(),
            {"thread": "t59", "address": "zed@example.com", "is_open": True, "number": 1},
        )
        said: dict[str, object] = {
            "thread": "t59",
            "digest": b"x",
            "message_id": "",
            "author": "zed@example.com",
        }
        said |= {"name": "Zed", "said_at": 1.0, "kept_at": 1.0, "is_ours": False, "text": "<hi>"}
        connection.execute(thread_messages.insert(), said)
    page = visitor.get("/threads").text
    assert page.index("about 59") < page.index("about 58")
    assert "about 9<" not in page
    more = re.search(r'href="(/threads\?before=[^"]+)"', page)
    assert more is not None
    assert "about 9<" in visitor.get(more[1]).text
    thread = visitor.get("/threads/t59").text
    assert "zed@example.com" in thread
    assert "&lt;hi&gt;" in thread
    assert visitor.get("/threads/nothing").status_code == 404


def test_who_is_suppressed_can_be_let_in(visitor: Visitor, tables: Database) -> None:
    with tables.begin() as connection:
        suppressed.add(connection, Suppressed("zed@example.com", "", "hard", "550 no"))
    assert "550 no" in visitor.get("/suppressed").text
    assert "550 no" in visitor.get("/suppressed?address=Zed@example.com").text
    assert "gets mail" in visitor.get("/suppressed?address=ann@example.com").text
    visitor.post("/suppressed", address="zed@example.com", scope="")
    assert "Everybody gets mail" in visitor.get("/suppressed").text


def test_each_page_is_read_by_an_index(tables: Database) -> None:
    statements: list[tuple[str, Any]] = []

    def note(connection: object, cursor: object, sql: str, values: Any, *rest: object) -> None:
        statements.append((sql, values))

    with tables.read() as connection:
        event.listen(connection, "before_cursor_execute", note)
        records.standings(connection, 51, ("a", "b"))
        records.standings_of(connection, "zed@example.com")
        records.thread_lines(connection, 51, (1.0, "x"))
        records.outgoing(connection, 51, 7)
        records.later(connection, 51, (1.0, 7))
        records.work(connection, 51, (1.0, 7))
        records.out(connection, 51, "x")
        records.out_at(connection, "zed@example.com", "list")
        event.remove(connection, "before_cursor_execute", note)
        assert len(statements) >= 8
        for sql, values in statements:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values)
            lines = [row[-1] for row in plan]
            assert not [one for one in lines if "TEMP B-TREE" in one], (sql, lines)
            assert not [one for one in lines if one.startswith("SCAN") and "USING" not in one], (
                sql,
                lines,
            )


def test_a_database_that_does_not_answer_is_told(visitor: Visitor, tables: Database) -> None:
    with tables.begin() as connection:
        connection.execute(text("DROP TABLE lamson_state"))
    _note_revision(tables, SCHEMA_REVISION)
    answer = visitor.get("/states")
    assert answer.status_code == 503
    assert "The database does not answer" in answer.text


def test_without_a_database_nothing_waits(house: House, visitor: Visitor) -> None:
    house.window.database = None
    answer = visitor.get("/states")
    assert answer.status_code == 422
    assert "no database is set" in answer.text


def _note_revision(database: Database, revision: str) -> None:
    with database.engine.begin() as connection:
        connection.execute(text(f"CREATE TABLE {VERSION_TABLE} (version_num VARCHAR(32))"))
        connection.execute(text(f"INSERT INTO {VERSION_TABLE} VALUES ('{revision}')"))


PLACES = ("/", "/with?with=a@b.example", "/outbox", "/timers", "/states", "/threads", "/suppressed")


@pytest.mark.parametrize("revision", ["", "0001"])
@pytest.mark.parametrize("keep", ["off", "headers"])
def test_a_database_without_our_tables_says_what_to_run(
    house: House, empty_database: Database, keep: str, revision: str
) -> None:
    """Before `lamson syncdb`, or after an upgrade of Lamson without one."""
    window = house.window
    window.database = empty_database
    if keep != "off":
        window.mails = JournalMails(empty_database, window.mails)
    if revision:
        _note_revision(empty_database, revision)
    stranger = house.visitor(is_in=False)
    assert stranger.get("/login").status_code == 200
    client = stranger.client
    client.post("/login", data={"password": PASSWORD}, headers={"Origin": HOST})
    for place in PLACES[0 if keep != "off" else 2 :]:
        answer = client.get(place)
        assert answer.status_code == 503
        assert "The database is not ready" in answer.text
        assert "run `lamson syncdb`" in answer.text
        assert (f"at schema {revision}" if revision else "has no tables yet") in answer.text
        assert "lamson_" not in answer.text.partition("<main")[2], "no table is named"
    assert client.get("/pulse").status_code == 200


@pytest.mark.parametrize("due_at", [0.0, 1e10])
def test_without_a_journal_the_first_page_says_so_and_what_waits(
    house: House, visitor: Visitor, tables: Database, due_at: float
) -> None:
    house.window.development = None
    page = visitor.get("/").text
    assert "No journal is kept" in page
    assert "journal=Journal(&#34;headers&#34;)" in page
    assert "waits in the" not in page
    one = Outgoing("s", "<1@x>", "app@test.com", ("now@example.com",), b"x", due_at=due_at)
    with tables.begin() as connection:
        Outbox(tables, "test").insert(connection, [one])
    assert 'Mail waits in the <a href="/outbox">' in visitor.get("/").text
    house.keep(b"Subject: kept\r\n\r\n", "broken")
    page = visitor.get("/").text
    assert "kept</a>" in page
    assert "No journal is kept" in page, "for what is listed is not all"
    house.window.database = None
    assert "it needs a database" in visitor.get("/").text


def test_who_is_named_by_what_waits_is_told_why_no_mail_is_listed(
    house: House, visitor: Visitor, tables: Database
) -> None:
    one = Outgoing("s", "<1@x>", "app@test.com", ("now@example.com",), b"x")
    with tables.begin() as connection:
        Outbox(tables, "test").insert(connection, [one])
    (link,) = re.findall(r'href="(/with[^"]+)"', visitor.get("/outbox").text)
    page = visitor.get(link).text
    assert "No mail with them is here" in page
    assert 'href="/outbox">outbox' in page
    assert "As test" not in page
    assert "No journal is kept" not in page
    house.window.development = None
    assert "No journal is kept" in visitor.get(link).text


def test_with_a_journal_the_first_page_says_what_waits(
    journaled: House, visitor: Visitor, tables: Database
) -> None:
    journaled.window.development = None
    one = Outgoing("s", "<1@x>", "app@test.com", ("now@example.com",), b"x")
    with tables.begin() as connection:
        Outbox(tables, "test").insert(connection, [one])
    page = visitor.get("/").text
    assert "No mail is in the journal yet" in page
    assert "No journal" not in page
    assert 'Mail waits in the <a href="/outbox">' in page


def test_a_window_that_changes_nothing_says_how_to_change_that(
    house: House, visitor: Visitor
) -> None:
    house.window.is_writable, house.window.development = False, None
    page = visitor.get("/").text
    assert re.search(r'<span class="note" title="[^"]*web.writable[^"]*">read-only</span>', page)
    house.window.is_writable = True
    assert "read-only" not in visitor.get("/").text


@pytest.mark.postgres
def test_a_database_that_stands_still_holds_up_no_page_for_ever(
    house: House,
    postgres: PostgresInstance,
    postgres_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nor the end of the window, which waits for its threads."""
    monkeypatch.setattr("lamson.storage.patience.SILENCE", 0.5)
    rule = Swallow()
    with ExitStack() as stack:
        proxy = stack.enter_context(Proxy(postgres.port, rule))
        through = sqlalchemy.make_url(postgres_url).set(port=proxy.port).render_as_string()
        house.window.database = stack.enter_context(closing(Database(through)))
        house.window.database.create_all()
        visitor = house.visitor()
        assert visitor.get("/outbox").status_code == 200
        rule.strike()
        assert visitor.get("/outbox").status_code == 503
