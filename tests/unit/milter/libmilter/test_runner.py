"""lamson_milter.libmilter.runner: where a stage runs, and what is said of one that is late."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("milter", reason="pymilter is not installed (pip install '.[milter]')")

from lamson_milter.decision.transaction import Rules
from lamson_milter.filters import CONNECTION, MESSAGE, SENDER
from lamson_milter.libmilter.budget import Budget
from lamson_milter.libmilter.runner import Limits, Runner
from lamson_milter.libmilter.session import Session
from lamson_milter.libmilter.threads import FilterThreads, TooLateError
from lamson_milter.rules import Asking
from tests.unit.milter.support import make_filters

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = """
@filter_connection(inline=True)
def client(connection): ...
@filter_sender(inline=True)
def quick(mail): ...
@filter_sender
def slow(mail): ...
@filter_message("(user)@(host)")
def message(message, user, host): ...
"""


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session(Rules(make_filters(tmp_path, SOURCE), Asking()), 0, Budget(1 << 20))


def make_runner(session: Session, *, threads: int = 2, command: float = 60.0) -> Runner:
    filters = session.connection.rules.filters
    limits = Limits(command=command, content=60.0)
    return Runner(filters, FilterThreads(threads), limits, [session])


def test_a_stage_is_inline_where_all_its_filters_say_so(session: Session) -> None:
    runner = make_runner(session)
    here = threading.get_ident()
    assert runner.run(CONNECTION, session, threading.get_ident) == here
    assert runner.run(SENDER, session, threading.get_ident) != here
    assert runner.run(MESSAGE, session, threading.get_ident) != here


def test_who_is_late_is_named_and_who_holds_the_threads(session: Session) -> None:
    runner = make_runner(session, threads=1, command=0.05)
    go = threading.Event()
    _, slow = session.connection.rules.filters.sender
    session.connection.asking = slow
    with pytest.raises(TooLateError, match=rf"filter {slow}: not done within 0\.05 s"):
        runner.run(SENDER, session, go.wait)
    assert runner.is_short
    with pytest.raises(TooLateError, match=rf"all 1 threads are busy with {slow} \(1\)"):
        runner.run(SENDER, session, lambda: None)
    go.set()


def test_one_that_runs_inline_for_too_long_is_seen(session: Session) -> None:
    runner = make_runner(session)
    assert not runner.is_stuck()
    session.since = -1e9  # monotonic: it began long ago
    assert runner.is_stuck()
    runner.run(CONNECTION, session, lambda: None)
    assert not runner.is_stuck()
