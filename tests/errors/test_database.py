"""A database that is locked, full, read-only or busy: 451 within the deadline, and then 250."""

from __future__ import annotations

import shutil
import sqlite3
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from lamson.storage.database import Database
from tests.node import Node
from tests.postgres.instance import USER
from tests.unit.support import make_router

if TYPE_CHECKING:
    from pathlib import Path

    from lamson.routing.router import Router
    from tests.errors.conftest import Disk
    from tests.postgres import PostgresInstance

NOTE = """
BODY = "x" * 30000

@route("(user)@(host)")
def START(message, session: Session, delivery: Delivery, user, host):
    session.execute(text("INSERT INTO note VALUES (:word)"), {"word": message.subject})
    delivery.send(MailResponse(to="a@b.example", sender="c@test.com", subject="x", body=BODY))

def ERROR(message, user=None, host=None):
    pass
"""


@pytest.fixture
def router(tmp_path: Path) -> Router:
    return make_router(tmp_path, NOTE)


def prepare(node: Node) -> None:
    node.database.create_all()
    with node.database.begin() as connection:
        connection.execute(text("CREATE TABLE note (word VARCHAR(10))"))


def words(node: Node) -> list[str]:
    with node.database.read() as connection:
        return list(connection.execute(text("SELECT word FROM note ORDER BY 1")).scalars())


def assert_one_line(caplog: pytest.LogCaptureFixture, *parts: str) -> None:
    """The failure was logged, in lines that name it, without a traceback."""
    lines = [record for record in caplog.records if record.levelname == "ERROR"]
    assert lines
    for line in lines:
        assert line.exc_info is None
        assert "\n" not in line.message
    assert any(all(part in line.message for part in parts) for line in lines)


def test_sqlite_that_another_process_keeps_locked(
    router: Router, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Node(router, f"sqlite:///{tmp_path}/test.db?timeout=0.3", tmp_path, threads=1) as node:
        prepare(node)
        assert node.send("one") == [250]
        other = sqlite3.connect(tmp_path / "test.db", isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        assert node.send("lost", "lost", "lost") == [451] * 3
        assert time.monotonic() - began < 10
        other.execute("COMMIT")
        assert node.send("two", "two") == [250, 250]
        other.close()
        assert words(node) == ["one", "two", "two"]
        assert_one_line(caplog, "answered 451: the database failed: database is locked")


def test_sqlite_on_a_full_disk(
    router: Router, disk: Disk, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Node(router, f"sqlite:///{disk.path}/test.db", tmp_path, threads=1) as node:
        prepare(node)
        assert node.send("one") == [250]
        disk.fill()
        assert node.send("lost", "lost", "lost") == [451] * 3
        assert node.send("lost", "lost", "lost") == [451] * 3
        disk.free()
        assert node.send("two", "two") == [250, 250]
        assert words(node) == ["one", "two", "two"]
        assert node.outbox.count() == 3
        assert node.undeliverable.count() == 0
        assert_one_line(caplog, "database or disk is full")


def test_sqlite_on_a_disk_that_is_read_only_for_a_while(
    router: Router, disk: Disk, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Node(router, f"sqlite:///{disk.path}/test.db", tmp_path, threads=1) as node:
        prepare(node)
        node.database.close()  # as before a start; a file that is open keeps its disk writable
        disk.remount("ro")
        assert node.send("lost", "lost") == [451, 451]
        disk.remount("rw")
        assert node.send("one", "one") == [250, 250]
        assert words(node) == ["one", "one"]
        assert_one_line(caplog, "answered 451: the database failed: ")


def test_sqlite_opened_several_times_while_it_was_read_only(disk: Disk, tmp_path: Path) -> None:
    whole = Database(f"sqlite:///{tmp_path}/test.db")
    whole.create_all()
    for name in ("test.db", "test.db-wal", "test.db-shm"):  # as after the death of a process
        shutil.copy(tmp_path / name, disk.path)
    whole.close()
    database = Database(f"sqlite:///{disk.path}/test.db")
    disk.remount("ro")
    with database.read() as one, database.read() as other:  # both are kept for later
        for connection in (one, other):
            connection.execute(text("SELECT 1 FROM lamson_seen"))
    disk.remount("rw")
    create = text("CREATE TABLE note (word VARCHAR(10))")
    with suppress(OperationalError), database.begin() as connection:
        connection.execute(create)
    with database.begin() as connection:
        connection.execute(create)
    database.close()


@pytest.fixture
def node(router: Router, tmp_path: Path, postgres_url: str) -> Any:
    with Node(router, postgres_url, tmp_path) as node:
        prepare(node)
        yield node


@pytest.mark.postgres
def test_postgres_that_takes_no_changes_for_a_while(
    postgres: PostgresInstance, node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    assert node.send("one") == [250]
    name = node.database.engine.url.database or ""
    postgres.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    postgres.terminate_backends(name)
    assert set(node.send("lost", "lost")) == {451}
    assert node.send("lost", "lost") == [451, 451]
    postgres.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    assert node.send("two") == [250]
    assert words(node) == ["one", "two"]
    assert_one_line(caplog, "cannot execute INSERT in a read-only transaction")


@pytest.mark.postgres
def test_postgres_on_a_full_disk(
    postgres: PostgresInstance, node: Node, disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    place = disk.path / "tables"
    place.mkdir()
    name = node.database.engine.url.database or ""
    give_to_postgres(place)
    postgres.execute(f"CREATE TABLESPACE small OWNER {USER} LOCATION '{place}'")
    try:
        postgres.execute("ALTER TABLE note SET TABLESPACE small", name)
        disk.fill()
        assert node.send("lost", "lost") == [451, 451]
        disk.free()
        assert node.send("one") == [250]
        assert words(node) == ["one"]
        assert node.undeliverable.count() == 0
        assert_one_line(caplog, "No space left on device")
    finally:
        postgres.execute("DROP TABLE note", name)
        postgres.execute("DROP TABLESPACE small")


def give_to_postgres(place: Path) -> None:
    """Let the server, which does not run as root, make files there."""
    shutil.chown(place, "postgres", "postgres")
    for parent in place.parents:
        if parent.stat().st_mode & 0o001 == 0:
            parent.chmod(parent.stat().st_mode | 0o011)


@pytest.mark.postgres
def test_no_connection_is_left(
    node: Node, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pool: Any = node.database.engine.pool
    monkeypatch.setattr(pool, "_timeout", 0.2)
    taken = [node.database.read() for _ in range(pool.size() + pool._max_overflow)]
    assert node.send("lost", "lost") == [451, 451]
    for connection in taken:
        connection.close()
    assert node.send("one", "one") == [250, 250]
    assert words(node) == ["one", "one"]
    assert_one_line(caplog, "QueuePool limit")
