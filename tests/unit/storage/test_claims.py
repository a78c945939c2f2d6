"""lamson.storage.claims; what a claim takes is tested with the outbox."""

from typing import Any

from sqlalchemy import event

from lamson.storage import claims
from lamson.storage.database import Database
from lamson.storage.outbox import LEASE, Outbox
from lamson.storage.outgoing import Outgoing
from lamson.storage.room import Budget


def test_what_was_deleted_between_finding_and_loading_is_left_out(database: Database) -> None:
    outbox = Outbox(database, "a")
    rows = [
        Outgoing("4Qz", f"<{number}@test>", "", (f"{number}@b.example",), b"x" * number)
        for number in range(1, 4)
    ]
    with database.begin() as connection:
        outbox.insert(connection, rows)
    outbox.release([row.id for row in rows])
    with database.begin() as connection:
        found = claims.find(connection, 10, rows[0].created_at + 1, Budget())
        assert [row["size"] for row in found] == [1, 2, 3]
        outbox.delete_rows(connection, [rows[1].id])
        rows[0].content = rows[2].content = b""
        assert claims.load(connection, rows, [1, 2, 3]) == [rows[0], rows[2]]
    assert (rows[0].content, rows[2].content) == (b"x", b"xxx")


def test_purging_does_not_look_at_each_row_for_each_content(database: Database) -> None:
    if not database.is_sqlite:
        return  # it joins the two tables as it sees fit
    asked: list[str] = []
    with database.begin() as connection:
        event.listen(
            connection, "before_cursor_execute", lambda *args: asked.append(args[2]), named=False
        )
        claims.unused(connection, [1])
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {asked[0]}", (1, 0, 0, 0)).all()
    for index in ("lamson_outbox_shared", "lamson_scheduled_shared", "lamson_list_posts_shared"):
        assert any(f"INDEX {index}" in str(row) for row in plan), plan


def test_what_is_not_due_is_not_looked_at(database: Database) -> None:
    if not database.is_sqlite:
        return  # which chooses by how much there is
    asked: list[tuple[str, Any]] = []
    with database.begin() as connection:
        event.listen(connection, "before_cursor_execute", lambda *args: asked.append(args[2:4]))
        claims.find(connection, 10, 1e9, Budget())
        plans = [
            connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()
            for statement, values in asked[:2]
        ]
    for plan in plans:
        assert "INDEX lamson_outbox_due (due_at" in str(plan[0]), plan
        assert "TEMP B-TREE" not in str(plan), plan


def test_conversations_are_found_by_the_indexes_of_both_halves(database: Database) -> None:
    if not database.is_sqlite:
        return  # which chooses by how much there is
    outbox, other = Outbox(database, "a"), Outbox(database, "b")
    rows = [Outgoing("4Qz", f"<{number}@test>", "", ("a@b.example",), b"x") for number in range(2)]
    asked: list[str] = []
    with database.begin() as connection:
        other.insert(connection, rows)
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.set_trace_callback(asked.append)
        assert outbox.insert(connection, rows) == []
        claims.find(connection, 10, rows[0].created_at + 10 * LEASE, Budget())
        driver.set_trace_callback(None)
        asked = [one for one in asked if "conversation" in one and not one.startswith("INSERT")]
        plans = [connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {one}").all() for one in asked]
    assert len(plans) == 4, asked  # who holds it, what is first by two clocks, what follows
    for plan in plans:
        for half in ("waiting", "leased"):
            assert f"INDEX lamson_outbox_{half} (conversation=?" in str(plan), plan
        assert "SCAN lamson_outbox" not in str(plan), plan
