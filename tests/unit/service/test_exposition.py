"""lamson.service.exposition: what Prometheus reads of what was counted and found."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from lamson import metrics
from lamson.metrics import BUCKETS, Board, Member
from lamson.service import exposition
from lamson.service.health import Health, Kept, Timers, Waiting

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

EMPTY = Health(is_running=True, listening="")


@pytest.fixture
def board() -> Iterator[Board]:
    """One on which this process counts."""
    one = Board(2)
    slot = one.take("lmtp")
    assert slot is not None
    metrics.begin(one, slot)
    yield one
    metrics.stop()


def read(board: Board, health: Health, members: Sequence[Member] = ()) -> dict[str, float]:
    page = exposition.text(board.totals(), members, health).decode()
    return {
        ",".join([one.name, *one.labels.values()]): one.value
        for family in text_string_to_metric_families(page)
        for one in family.samples
    }


def test_all_that_can_be_counted_is_there_from_the_beginning(board: Board) -> None:
    """An alert on the increase of what was never there would miss the first time."""
    found = read(board, EMPTY)
    assert found["lamson_messages_total"] == 0
    assert found["lamson_worker_deaths_total,milter"] == 0
    known = set(exposition.names())
    assert {name.partition(",")[0] for name in found} <= known


def test_a_histogram_counts_what_is_below(board: Board) -> None:
    for seconds in (0.0005, 0.02, 0.02, 1000.0):
        metrics.observe_run("app.one", seconds)
    found = read(board, EMPTY)
    counts = [found[f"lamson_handler_seconds_bucket,app.one,{limit}"] for limit in BUCKETS]
    assert counts == [1, 1, 1, *[3] * (len(BUCKETS) - 3)]
    assert found["lamson_handler_seconds_bucket,app.one,+Inf"] == 4
    assert found["lamson_handler_seconds_count,app.one"] == 4
    assert found["lamson_handler_seconds_sum,app.one"] == pytest.approx(1000.0405)


def test_handlers_without_end_make_no_series_without_end(board: Board) -> None:
    for number in range(1000):
        metrics.observe_run(f"app.{number}", 0.1)
    found = read(board, EMPTY)
    runs = {name: value for name, value in found.items() if "seconds_count" in name}
    assert len(runs) == metrics.HANDLERS + 1
    assert runs["lamson_handler_seconds_count,other"] == 1000 - metrics.HANDLERS
    assert sum(runs.values()) == 1000


def test_what_was_found_is_told_and_what_nobody_knows_is_left_out(board: Board) -> None:
    known = Health(
        is_running=True,
        listening="",
        servers={"lmtp": True, "milter": False},
        database=True,
        submission=False,
        outbox=Waiting(3, None, 1, "refused"),
        timers=Timers(2, 61.5),
        undeliverable=Kept(1, 500, 1000, 3.0),
        late=["submission to nowhere does not answer"],
    )
    found = read(board, known)
    assert (found["lamson_state,degraded"], found["lamson_state,healthy"]) == (1, 0)
    assert (found["lamson_server_up,lmtp"], found["lamson_server_up,milter"]) == (1, 0)
    assert (found["lamson_database_up"], found["lamson_submission_up"]) == (1, 0)
    assert (found["lamson_outbox_messages"], found["lamson_outbox_oldest_seconds"]) == (3, 0)
    assert (found["lamson_timers_late"], found["lamson_timers_late_seconds"]) == (2, 61.5)
    assert found["lamson_undeliverable_limit_bytes"] == 1000
    assert "lamson_spam_messages" not in found
    unknown = read(board, EMPTY)
    for name in ("database_up", "outbox_messages", "timers_late", "undeliverable_bytes"):
        assert f"lamson_{name}" not in unknown


def test_workers_are_told_by_group(board: Board) -> None:
    members = [Member("lmtp", os.getpid(), 0.5), Member("lmtp", 2**30, 7.0), Member("x", 1, 0.0)]
    found = read(board, EMPTY, members)
    assert found["lamson_workers,lmtp"] == 2
    assert found["lamson_worker_silence_seconds,lmtp"] == 7.0
    assert found["lamson_memory_bytes,lmtp"] > 1e6, "one of the two has ended"
    assert "lamson_workers,x" not in found
