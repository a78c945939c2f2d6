"""lamson.storage.database and lamson.storage.migrate: transactions that mean what they say, and the
tables' versions.
"""

import sqlite3
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import exc, inspect, make_url, text
from sqlalchemy.exc import SQLAlchemyError

from lamson import metrics
from lamson.errors import DatabaseError, UnavailableError
from lamson.storage import database as db
from lamson.storage import failure, migrate, tables
from lamson.storage.database import Database
from lamson.storage.patience import patience
from tests.postgres import PostgresInstance
from tests.unit.support import connect_timeouts
from tests.waiting import free_port


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/test.db")
    yield database
    database.close()


def test_who_is_patient_waits_for_no_writer_that_hangs(
    sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A handler that hangs has its turn for ever."""
    monkeypatch.setattr("lamson.storage.sqlite.BUSY_TIMEOUT", 0.1)
    has_begun, may_end = threading.Event(), threading.Event()

    def hang() -> None:
        with sqlite.begin():
            has_begun.set()
            may_end.wait()

    thread = threading.Thread(target=hang)
    thread.start()
    has_begun.wait()
    try:
        with (
            pytest.raises(exc.OperationalError, match="a transaction goes on for more than"),
            patience(0.1),
            sqlite.begin(),
        ):
            pass
        sqlite.close()  # nor does whoever ends
    finally:
        may_end.set()
        thread.join()


def test_writers_do_not_overwrite_each_other(sqlite: Database) -> None:
    with sqlite.begin() as connection:
        connection.execute(text("CREATE TABLE counter (value INTEGER)"))
        connection.execute(text("INSERT INTO counter VALUES (0)"))

    def count() -> None:
        for _ in range(50):
            with sqlite.begin() as connection:
                value = connection.execute(text("SELECT value FROM counter")).scalar_one()
                connection.execute(text("UPDATE counter SET value = :v"), {"v": value + 1})

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with sqlite.read() as connection:
        assert connection.execute(text("SELECT value FROM counter")).scalar_one() == 200


def test_a_reader_takes_no_lock(sqlite: Database) -> None:
    with sqlite.begin() as writer:
        writer.execute(text("CREATE TABLE x (y INTEGER)"))
        with sqlite.read() as reader:
            assert not inspect(reader).has_table("x")


def test_commits_reach_the_disk(sqlite: Database) -> None:
    with sqlite.read() as connection:
        assert connection.execute(text("PRAGMA synchronous")).scalar_one() == 2  # FULL
        assert connection.execute(text("PRAGMA journal_mode")).scalar_one() == "wal"


@pytest.mark.parametrize(
    "url", ["nosuch://x/y", "not a url", "oracle://x", "mysql://x", "postgresql+asyncpg://x"]
)
def test_an_unusable_url_is_one_clear_line(url: str) -> None:
    with pytest.raises(DatabaseError, match="cannot be used") as caught:
        Database(url)
    assert "\n" not in str(caught.value)


def test_a_database_that_is_not_there(tmp_path: Path) -> None:
    said = rf"unable to open database file; there is no directory {tmp_path}/no/such$"
    with pytest.raises(UnavailableError, match=said):
        Database(f"sqlite:///{tmp_path}/no/such/directory.db").check()
    with pytest.raises(UnavailableError, match=r"file; it is a directory$"):
        Database(f"sqlite:///{tmp_path}").check()


def test_a_password_is_not_shown() -> None:
    with pytest.raises(DatabaseError, match=r"mysql://me:\*+@localhost") as caught:
        Database("mysql://me:secret@localhost/x")
    assert "secret" not in str(caught.value)
    pytest.importorskip("psycopg")
    assert "secret" not in str(Database("postgresql+psycopg://me:secret@localhost/x"))


def test_syncdb_makes_the_tables_once(empty_database: Database) -> None:
    with pytest.raises(DatabaseError, match="run `lamson syncdb`"):
        empty_database.check()
    assert migrate.upgrade_ours(empty_database) == ("", tables.SCHEMA_REVISION)
    assert migrate.upgrade_ours(empty_database) == (tables.SCHEMA_REVISION, tables.SCHEMA_REVISION)
    empty_database.check()


def test_nodes_that_run_syncdb_at_once_take_turns(empty_database: Database) -> None:
    together = threading.Barrier(4)

    def upgrade(_: int) -> tuple[str, str]:
        node = Database(empty_database.engine.url.render_as_string(hide_password=False))
        together.wait()
        try:
            return migrate.upgrade_ours(node)
        finally:
            node.close()

    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(upgrade, range(4)))
    newest = tables.SCHEMA_REVISION
    assert sorted(done) == [("", newest)] + [(newest, newest)] * 3
    empty_database.check()


def test_a_file_that_another_node_is_making_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = sqlite3.connect(tmp_path / "new.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    other.execute("CREATE TABLE theirs (id)")
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        other.execute("COMMIT")

    monkeypatch.setattr(time, "sleep", wait)
    database = Database(f"sqlite:///{tmp_path}/new.db?timeout=0")
    with database.read() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
    assert len(waits) == 1
    database.close()
    other.close()


def test_the_migrations_make_the_tables_of_the_models(empty_database: Database) -> None:
    migrate.upgrade_ours(empty_database)
    made = described(empty_database)
    tables.metadata.drop_all(empty_database.engine)
    empty_database.create_all()
    assert made == described(empty_database)


def described(database: Database) -> dict[str, object]:
    """What the database itself says of our tables."""
    found = inspect(database.engine)
    return {
        table: (
            [str(column) for column in found.get_columns(table)],
            [_told(index) for index in found.get_indexes(table)],
            found.get_pk_constraint(table),
        )
        for table in tables.metadata.tables
    }


def _told(index: Mapping[str, Any]) -> dict[str, Any]:
    """Its condition as a text: two of the same words are not equal."""
    options = {name: str(value) for name, value in index.get("dialect_options", {}).items()}
    return {**index, "dialect_options": options}


def test_the_newest_migration_is_the_one_we_check_for() -> None:
    script = ScriptDirectory(str(migrate.OURS))
    assert script.get_current_head() == tables.SCHEMA_REVISION


def test_a_newer_database_is_left_alone(empty_database: Database) -> None:
    migrate.upgrade_ours(empty_database)
    with empty_database.begin() as connection:
        connection.execute(text(f"UPDATE {tables.VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(DatabaseError, match="made by a newer"):
        empty_database.check()
    with pytest.raises(DatabaseError, match="made by a newer"):
        migrate.upgrade_ours(empty_database)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "test.db"
    path.write_bytes(b"this is not a database" * 100)
    database = Database(f"sqlite:///{path}")
    with pytest.raises(UnavailableError, match="not a database"):
        database.check()


@pytest.mark.postgres
@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_transactions_are_read_committed_whatever_the_server_says(
    postgres_url: str, postgres: PostgresInstance, level: str
) -> None:
    name = make_url(postgres_url).database or ""
    postgres.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = '{level}'")
    show = text("SELECT current_setting('transaction_isolation')")
    database = Database(f"{postgres_url}?options=-c%20default_transaction_isolation%3Dserializable")
    with database.begin() as connection:
        assert connection.execute(show).scalar_one() == "read committed"
    with database.read_only() as connection:
        assert connection.execute(show).scalar_one() == "repeatable read"
    with database.begin_forgettable() as connection:
        assert connection.execute(show).scalar_one() == "read committed"
    database.close()


@pytest.mark.postgres
def test_a_failed_transaction_is_not_taken_for_committed(postgres_url: str) -> None:
    database = Database(postgres_url)
    failed = pytest.raises(exc.InvalidRequestError, match="failed before")
    with failed, database.begin() as connection, suppress(exc.DataError):
        connection.execute(text("SELECT 1/0"))
    database.close()


def test_the_url_says_how_long_to_wait(tmp_path: Path) -> None:
    path = tmp_path / "test.db"
    waiting, holding = Database(f"sqlite:///{path}?timeout=0.05"), Database(f"sqlite:///{path}")
    with (
        holding.begin(),
        pytest.raises(exc.OperationalError, match="locked"),
        waiting.begin(),
    ):
        pass
    with waiting.begin():
        pass
    waiting.close()
    holding.close()


SHOW = text("SELECT current_setting('lock_timeout'), current_setting('synchronous_commit')")


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ("10s", "on")),
        ("?options=-c lock_timeout=3s", ("3s", "on")),
        ("?options=-c%20synchronous_commit%3Dremote_apply", ("10s", "remote_apply")),
    ],
)
def test_postgres_sessions_are_durable_and_wait_for_a_bounded_time(
    postgres: PostgresInstance, postgres_url: str, query: str, expected: tuple[str, str]
) -> None:
    name = make_url(postgres_url).database
    postgres.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
    database = Database(postgres_url.replace("+psycopg", "") + query)
    with database.begin() as connection:
        assert tuple(connection.execute(SHOW).one()) == expected
    database.close()


@pytest.mark.parametrize(
    ("query", "timeout", "expected"),
    [
        ("", db.CONNECT_TIMEOUT, ("10", "30000")),
        ("", 60, ("60", "60000")),
        ("?connect_timeout=2&tcp_user_timeout=3000", 60, ("2", "3000")),
    ],
)
def test_a_server_has_a_bounded_time_to_answer(
    query: str, timeout: int, expected: tuple[str, str]
) -> None:
    url = f"postgresql://nobody@127.0.0.1:{free_port()}/x{query}"
    database = Database(url, connect_timeout=timeout)
    with (
        connect_timeouts() as asked,
        pytest.raises(exc.OperationalError, match="refused"),
        database.read(),
    ):
        pass
    assert asked == [expected]


@pytest.mark.postgres
def test_a_connection_that_was_idle_is_tried_first(
    postgres: PostgresInstance, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = make_url(postgres_url).database or ""
    database = Database(postgres_url)
    with database.begin() as connection:
        connection.execute(SHOW)
    assert postgres.terminate_backends(name) == 1
    monkeypatch.setattr(db, "IDLE", 0.0)
    with database.begin() as connection:
        connection.execute(SHOW)
    monkeypatch.setattr(db, "IDLE", 100.0)
    assert postgres.terminate_backends(name) == 1
    with pytest.raises(exc.OperationalError), database.begin() as connection:
        connection.execute(SHOW)
    with database.begin() as connection:
        connection.execute(SHOW)
    database.close()


@pytest.mark.postgres
def test_a_server_that_is_not_there(postgres: PostgresInstance) -> None:
    url = make_url(postgres.url()).set(port=1)
    with pytest.raises(UnavailableError, match="refused"):
        Database(url.render_as_string()).check()


def test_only_a_forgettable_transaction_does_not_wait_for_the_disk(database: Database) -> None:
    def level() -> int:
        with database.read() as connection:
            return int(connection.execute(text("PRAGMA synchronous")).scalar_one())

    if not database.is_sqlite:
        with database.begin_forgettable() as connection:
            assert connection.execute(text("SHOW synchronous_commit")).scalar_one() == "on"
        with database.begin() as connection:
            assert connection.execute(text("SHOW synchronous_commit")).scalar_one() == "on"
        return
    with database.begin_forgettable() as connection:
        connection.execute(text("CREATE TABLE forgettable (x INTEGER)"))
        assert connection.execute(text("PRAGMA synchronous")).scalar_one() == 1  # NORMAL
    assert level() == 2  # FULL
    with pytest.raises(RuntimeError), database.begin_forgettable():
        raise RuntimeError
    assert level() == 2


def test_a_forgettable_transaction_on_a_locked_database(tmp_path: Path) -> None:
    """Its failure is SQLAlchemy's, as that of any other: the relay tries again."""
    other = Database(f"sqlite:///{tmp_path / 'test.db'}")
    impatient = Database(f"sqlite:///{tmp_path / 'test.db'}?timeout=0")
    locked = pytest.raises(exc.OperationalError, match="locked")
    with other.begin(), locked, impatient.begin_forgettable():
        raise AssertionError
    with impatient.begin_forgettable() as connection:
        connection.execute(text("CREATE TABLE note (word TEXT)"))
    for database in (other, impatient):
        database.close()


@pytest.mark.postgres
def test_times_are_precise_and_keys_are_octets(postgres_url: str) -> None:
    database = Database(postgres_url)
    migrate.upgrade_ours(database)
    with database.read() as connection:
        found = connection.execute(
            text(
                "SELECT table_name || '.' || column_name, data_type"
                " FROM information_schema.columns WHERE table_name LIKE 'lamson_%'"
            )
        )
        types = dict(tuple(row) for row in found)
    database.close()
    for name, kind in types.items():
        if name.endswith(("_at", "_until", "seconds")):
            assert kind == "double precision", name
    assert types["lamson_seen.key"] == types["lamson_outbox.content"] == "bytea"
    assert types["lamson_outbox.id"] == "bigint"
    assert types["lamson_outbox.smtputf8"] == "boolean"
    assert types["lamson_state.author"] == types["lamson_outbox.conversation"] == "text"


_LATE = (
    "CREATE TABLE parent (id INTEGER PRIMARY KEY)",
    "CREATE TABLE child (parent INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED)",
)


@pytest.mark.parametrize("how", ["begin", "begin_forgettable"])
def test_after_a_commit_that_failed_sqlite_can_be_written_durably(
    sqlite: Database, how: str
) -> None:
    with sqlite.begin() as connection:
        for statement in _LATE:
            connection.execute(text(statement))
    with pytest.raises(exc.IntegrityError), getattr(sqlite, how)() as connection:
        connection.execute(text("INSERT INTO child VALUES (1)"))
    with closing(sqlite3.connect(sqlite.engine.url.database or "", timeout=0)) as other:
        other.execute("INSERT INTO parent VALUES (1)")
        other.commit()
    with sqlite.begin_forgettable():
        pass
    with sqlite.begin() as connection:
        connection.execute(text("INSERT INTO child VALUES (1)"))
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL


def test_options_of_one_transaction_do_not_reach_the_next(sqlite: Database) -> None:
    with sqlite.begin() as connection:
        connection.execute(text("CREATE TABLE parent (id INTEGER PRIMARY KEY)"))
    with suppress(exc.InvalidRequestError), sqlite.begin() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
    with suppress(ZeroDivisionError), sqlite.begin() as connection:
        connection.execute(text("INSERT INTO parent VALUES (1)"))
        raise ZeroDivisionError
    with sqlite.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM parent")).scalar() == 0


def test_nothing_is_written_before_what_must_have_succeeded(tmp_path: Path) -> None:
    trials: list[Database] = []

    def check(database: Database) -> None:
        trials.append(database)
        if len(trials) < 3:
            raise UnavailableError("it is down")

    database = Database(f"sqlite:///{tmp_path}/test.db", before_writing=check)
    with pytest.raises(UnavailableError):
        database.make_ready()
    with pytest.raises(UnavailableError), database.begin():
        pass
    for _ in range(2):  # once it has succeeded it is not asked again
        with database.begin() as connection:
            connection.execute(text("SELECT 1"))
        database.make_ready()
    assert trials == [database] * 3
    database.close()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://u:p5@hunter2@127.0.0.1/db",
        "postgresql+psycopg://u:hunter2/db",
        "mysql+nothing://u:p5@hunter2@127.0.0.1/db",
        "nothing://u:hunter2@127.0.0.1/db",
        "postgresql+psycopg2://127.0.0.1/db?password=hunter2",
        "postgresql+psycopg://u:hunter2@[::1/db",
    ],
)
def test_no_password_of_a_url_that_cannot_be_used_is_told(url: str) -> None:
    with pytest.raises(DatabaseError, match="cannot be used") as raised:
        Database(url)
    text = "".join(traceback.format_exception(raised.value))
    assert "hunter2" not in text


def test_no_password_of_a_server_that_does_not_answer_is_told() -> None:
    port = free_port()
    database = Database(
        f"postgresql+psycopg://127.0.0.1:{port}/db?user=u&password=hunter2&sslpassword=hunter2"
    )
    with pytest.raises(UnavailableError) as raised:
        database.check()
    assert "hunter2" not in str(raised.value)
    assert f"127.0.0.1:{port}" in str(raised.value)
    database.close()


def test_no_value_is_told_of_a_statement_that_failed(database: Database) -> None:
    """A log is no place for mail, whoever made the statement."""
    with database.begin() as connection:
        connection.execute(
            text("CREATE TABLE taken (name VARCHAR(40) PRIMARY KEY, n INTEGER NOT NULL)")
        )
        connection.execute(text("INSERT INTO taken VALUES ('hunter2 was here', 1)"))
    statements = [
        ("INSERT INTO taken VALUES (:name, 1)", {"name": "hunter2 was here"}),
        ("INSERT INTO nowhere VALUES (:name)", {"name": "hunter2 was here"}),
        ("INSERT INTO taken VALUES (:name, NULL)", {"name": "he was here"}),
    ]
    if not database.is_sqlite:
        number = "INSERT INTO taken VALUES ('x', CAST(CAST(:n AS TEXT) AS INTEGER))"
        statements.append((number, {"n": 'hunter2" was here'}))
    for statement, values in statements:
        with pytest.raises(SQLAlchemyError) as raised, database.begin() as connection:
            connection.execute(text(statement), values)
        told = "".join(traceback.format_exception(raised.value)) + repr(raised.value)
        assert "was here" not in told
        assert "was here" not in failure.brief(raised.value)


def test_what_the_database_refuses_is_counted(sqlite: Database, tmp_path: Path) -> None:
    with sqlite.begin() as connection:
        connection.execute(text("CREATE TABLE x (y INTEGER PRIMARY KEY)"))
        connection.execute(text("INSERT INTO x VALUES (1)"))
    board = metrics.Board(1)
    metrics.begin(board, board.take("lmtp") or 0)
    with closing(Database(f"sqlite:///{tmp_path}/test.db?timeout=0")) as other:
        with sqlite.begin(), pytest.raises(exc.OperationalError), other.begin():
            pass
        with pytest.raises(exc.IntegrityError), other.begin() as connection:
            connection.execute(text("INSERT INTO x VALUES (1)"))
    nowhere = Database(f"sqlite:///{tmp_path}/none/test.db")
    with closing(nowhere), pytest.raises(exc.OperationalError):
        nowhere.read()
    metrics.stop()
    found = {key[1]: number for key, number in board.totals().counts.items() if number}
    assert found == {"outage": 2, "other": 1}
