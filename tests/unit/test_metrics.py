"""lamson.metrics: sums that never go backwards, and names that never grow without end."""

from __future__ import annotations

import ast
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lamson import metrics

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]


@pytest.fixture
def board() -> Iterator[metrics.Board]:
    yield metrics.Board(4)
    metrics.stop()


def begin(board: metrics.Board, group: str) -> int:
    slot = board.take(group)
    assert slot is not None
    board.settle(slot, os.getpid())
    metrics.begin(board, slot)
    return slot


def test_nothing_is_counted_where_nobody_asked() -> None:
    metrics.count("messages")
    metrics.observe("handler_seconds", 1.0, handler="a")
    assert not metrics.is_counting()


def test_what_a_dead_worker_counted_stays(board: metrics.Board) -> None:
    """Its slot goes to the next of its group, which counts on."""
    other, slot = begin(board, "milter"), begin(board, "lmtp")
    metrics.count("replies", 3, reply="2xx")
    metrics.observe("handler_seconds", 0.02, handler="app.handlers.one.START")
    board.settle(slot, 0)
    board.settle(other, 0)
    assert board.members() == []
    assert begin(board, "lmtp") == slot
    metrics.count("replies", 2, reply="2xx")
    metrics.observe("handler_seconds", 400, handler="app.handlers.one.START")
    totals = board.totals()
    assert totals.counts["replies", "2xx"] == 5
    assert set(totals.handlers) == {"app.handlers.one.START"}
    assert totals.handlers["app.handlers.one.START"] == [0, 0, 0, 1, *[0] * 8, 1, 400.02]
    assert [(one.group, one.pid) for one in board.members()] == [("lmtp", os.getpid())]


def test_the_sums_are_of_all_workers(board: metrics.Board) -> None:
    for _ in range(4):
        begin(board, "lmtp")
        metrics.count("messages")
        metrics.observe("handler_seconds", 0.5, handler="app.handlers.one.START")
    assert board.take("lmtp") is None
    board.settle(None, 17)
    assert board.totals().counts["messages",] == 4
    assert sum(board.totals().handlers["app.handlers.one.START"][:-1]) == 4


def test_handlers_beyond_the_most_are_one(board: metrics.Board) -> None:
    for _ in range(2):  # the next one in the slot knows the same
        slot = begin(board, "lmtp")
        for number in range(metrics.HANDLERS + 10):
            metrics.observe("handler_seconds", 1, handler=f"m.handler{number}")
        board.settle(slot, 0)
    handlers = board.totals().handlers
    assert len(handlers) == metrics.HANDLERS + 1
    assert sum(handlers["m.handler0"][:-1]) == 2
    assert sum(sum(counts) for *counts, _ in handlers.values()) == 2 * (metrics.HANDLERS + 10)
    assert sum(handlers[metrics.OTHER][:-1]) == 20


def test_a_name_that_is_too_long_is_cut(board: metrics.Board) -> None:
    name = "é" * 100
    for _ in range(2):
        slot = begin(board, "lmtp")
        metrics.observe("handler_seconds", 1, handler=name)
        metrics.observe("handler_seconds", 1, handler=name)
        board.settle(slot, 0)
    assert {one: sum(counts[:-1]) for one, counts in board.totals().handlers.items()} == {
        "é" * 64: 4
    }


def test_what_is_not_in_the_catalogue_is_not_counted(board: metrics.Board) -> None:
    begin(board, "lmtp")
    metrics.count("nonsense")
    metrics.count("replies", reply="9xx")
    metrics.count_reply(99)
    assert not any(board.totals().counts.values())


def test_a_message_and_its_reply(board: metrics.Board) -> None:
    begin(board, "lmtp")
    metrics.count_message(1000, 3)
    metrics.count_reply(250, 2)
    metrics.count_reply(451)
    found = {key: number for key, number in board.totals().counts.items() if number}
    assert found == {
        ("messages",): 1,
        ("message_bytes",): 1000,
        ("recipients",): 3,
        ("replies", "2xx"): 2,
        ("replies", "4xx"): 1,
    }


def test_a_process_that_a_handler_forks_counts_nothing(board: metrics.Board) -> None:
    begin(board, "lmtp")
    child = os.fork()
    if child == 0:
        metrics.count("messages")
        os._exit(int(metrics.is_counting()))
    assert os.waitpid(child, 0)[1] == 0
    assert board.totals().counts["messages",] == 0


def test_every_call_names_what_is_in_the_catalogue() -> None:
    """A name that is not there is silently not counted."""
    named = {"messages", "message_bytes", "recipients", "replies"}  # which have calls of their own
    for package in ("lamson", "lamson_lmtp", "lamson_milter"):
        for file in (ROOT / package).rglob("*.py"):
            text = file.read_text(encoding="utf-8")
            if "metrics.count(" not in text:
                continue
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "metrics.count":
                    name = ast.literal_eval(node.args[0])
                    assert name in metrics.CATALOGUE, f"{file}:{node.lineno}"
                    labels = tuple(one.arg for one in node.keywords)
                    assert labels == tuple(metrics.CATALOGUE[name].labels), f"{file}:{node.lineno}"
                    named.add(name)
    assert named == set(metrics.CATALOGUE)
