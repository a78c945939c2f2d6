"""`lamson state`: who is in which state, and another one by hand."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from lamson.delivery import timers
from lamson.storage import tasks
from lamson.storage.state import SqlStateStore, StateKey

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lamson.storage.database import Database
    from tests.unit.cli.conftest import Done

    Lamson = Callable[..., Done]

HANDLERS = """
from lamson import Expired, State, route, state_key_generator, timeout

@route("(user)@(host)", user="[a-z]+")
def START(message, user: str, host: str) -> State:
    return "WAITING"

@route("(user)@(host)", user="[a-z]+")
def WAITING(message, user: str, host: str) -> State:
    return None

@timeout("WAITING", days=3)
def too_late(expired: Expired, user: str) -> State:
    return "START"
"""
SHARED = """
from lamson import State, per_thread, route, state_key_generator

state_key = state_key_generator(per_thread)

@route("desk-(user)@(host)", user="[a-z]+")
def START(message, user: str, host: str) -> State:
    return "OPEN"

@route("desk-(user)@(host)", user="[a-z]+")
def OPEN(message, user: str, host: str) -> State:
    return None
"""


@pytest.fixture
def handlers(database: Database, project: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"state_handlers_{time.time_ns()}"
    (project / f"{name}.py").write_text(HANDLERS)
    (project / f"{name}_desk.py").write_text(SHARED)
    monkeypatch.setenv("LAMSON_HANDLERS", f"{name},{name}_desk")
    monkeypatch.setenv("LAMSON_ROUTE_DEFAULTS", '{"host": "test\\\\.com"}')
    return name


def save(database: Database, *states: tuple[str, str, str]) -> None:
    with database.begin() as connection:
        store = SqlStateStore(connection)
        store.save({StateKey.make(module, author): state for module, author, state in states})


def rows(database: Database) -> list[str]:
    query = "SELECT module || ' ' || author || ' ' || state FROM lamson_state ORDER BY 1"
    with database.read() as connection:
        return list(connection.exec_driver_sql(query).scalars())


def test_who_is_in_which_state(lamson: Lamson, database: Database) -> None:
    save(
        database,
        ("app.a", "zed@example.com", "WAITING"),
        ("app.b", "zed@example.com", "DONE"),
        ("app.b", "eve@example.com\x1b", "WAITING"),
        ("app.desk zearkraflxau", "", "OPEN"),
    )
    lines = lamson("state").out.splitlines()
    assert lines == [
        "zed@example.com  app.a  WAITING",
        "eve@example.com?  app.b  WAITING",
        "zed@example.com  app.b  DONE",
        "-  app.desk zearkraflxau  OPEN",
    ]
    assert lamson("state", "ZED@Example.com").out.splitlines() == [lines[0], lines[2]]
    assert lamson("state", "-module", "app.b").out.splitlines() == lines[1:3]
    assert lamson("state", "-thread", "zearkraflxau").out.splitlines() == lines[3:]
    assert "x@example.com is in START" in lamson("state", "x@example.com").out


def test_a_state_by_hand_has_its_timeout(lamson: Lamson, database: Database, handlers: str) -> None:
    refused = lamson("state", "zed@example.com", "-set", "WAITING")
    assert refused.status == os.EX_USAGE
    assert f"{handlers}.too_late of WAITING needs user: expected -with user=VALUE" in refused.err
    assert rows(database) == []
    done = lamson("state", "Zed@example.com", "-set", "WAITING", "-with", "user=a")
    assert done.out == f"zed@example.com in {handlers}: START -> WAITING\n"
    assert rows(database) == [f"{handlers} zed@example.com WAITING"]
    with database.read() as connection:
        (timer,) = tasks.waiting(connection, timers.KIND)
    assert timer.payload["captures"] == {"user": "a"}
    assert timer.payload["function"] == "too_late"
    # What the timer knows needs not be said again.
    assert lamson("state", "zed@example.com", "-set", "WAITING").status == 0
    done = lamson("state", "zed@example.com", "-reset")
    assert done.out == f"zed@example.com in {handlers}: WAITING -> START\n"
    assert rows(database) == []
    with database.read() as connection:
        assert tasks.count(connection) == 0


def test_an_unknown_state_is_refused_with_the_known_ones(
    lamson: Lamson, database: Database, handlers: str
) -> None:
    done = lamson("state", "zed@example.com", "-set", "WAITIN")
    assert done.status == os.EX_USAGE
    assert f"no state 'WAITIN' in {handlers}: expected one of START, WAITING" in done.err
    done = lamson("state", "zed@example.com", "-set", "OPEN", "-handlers", "app.none")
    assert f"expected one of {handlers}, {handlers}_desk" in done.err
    assert rows(database) == []


def test_who_is_in_several_machines(lamson: Lamson, database: Database, handlers: str) -> None:
    save(database, (handlers, "z@e.com", "WAITING"), (f"{handlers}_desk:x", "z@e.com", "OPEN"))
    done = lamson("state", "z@e.com", "-reset")
    assert done.status == os.EX_USAGE
    assert f"expected -module, with one of: {handlers}, {handlers}_desk:x" in done.err
    assert lamson("state", "z@e.com", "-module", f"{handlers}_desk:x", "-set", "START").status == 0
    assert lamson("state", "z@e.com", "-module", handlers, "-reset").status == 0
    assert rows(database) == [f"{handlers}_desk:x z@e.com START"]


def test_a_thread_has_to_be_there(lamson: Lamson, database: Database, handlers: str) -> None:
    """Nobody would ever forget the state of one that is not."""
    save(database, (f"{handlers}_desk zearkraflxau", "", "START"))
    arguments = ("state", "-thread", "zearkraflxau", "-set", "OPEN")
    done = lamson(*arguments)
    assert done.status == os.EX_NOINPUT
    assert "there is no thread zearkraflxau" in done.err
    with database.begin() as connection:
        connection.exec_driver_sql("INSERT INTO lamson_threads VALUES ('zearkraflxau', '', '', 1)")
    assert lamson(*arguments).out == f"{handlers}_desk zearkraflxau: START -> OPEN\n"


@pytest.mark.usefixtures("project")
def test_what_cannot_be_asked(lamson: Lamson) -> None:
    assert "in the memory of the service" in lamson("state").err
    for wrong in (
        ("a@b.c", "-thread", "x"),
        ("-thread", "\udcff"),
        ("a@b.c", "-set", "A", "-reset"),
        ("a@b.c", "-with", "x=y"),
        ("nobody",),
        ("-set", "A"),
        ("a@b.c", "-set", "A", "-with", "x"),
    ):
        assert lamson("state", *wrong).status == os.EX_USAGE, wrong
