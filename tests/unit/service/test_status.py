"""lamson.service.status: when it says that the service lives, and that it can do its work."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import pytest

from lamson.metrics import Board
from lamson.service import asking, pidfile, status
from lamson.settings import Lmtp, Settings, Status

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lamson.service.http_server import Answer


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Of a project without a database: its handlers send nothing."""
    lmtp = Lmtp(f"unix:{tmp_path}/lmtp")
    return Settings(database=None, handlers=[], run_dir=tmp_path, lmtp=lmtp)


@pytest.fixture
def board() -> Board:
    return Board(4)


@pytest.fixture
def pages(tmp_path: Path, settings: Settings, board: Board) -> Iterator[status.Pages]:
    with pidfile.PidFile(tmp_path / pidfile.PID_FILE):
        yield status.Pages(tmp_path, settings, board)


def told(answer: Answer) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(answer.body)
    return found


def worker(board: Board, group: str, silence: float) -> None:
    board.settle(board.take(group), os.getpid(), silence)


def test_it_lives_as_long_as_a_worker_of_the_mail_server_does(
    pages: status.Pages, settings: Settings, board: Board
) -> None:
    worker(board, "milter", 0.0)
    dead = asyncio.run(pages.healthz())
    assert dead.status == HTTPStatus.SERVICE_UNAVAILABLE
    assert told(dead)["reasons"] == ["no worker of the mail server gives a sign of life"]
    # Its heart beats ten times within the deadline of a handler, which it may work for.
    worker(board, "lmtp", 2.9 * settings.handler_deadline / 10)
    worker(board, "lmtp", settings.handler_deadline)
    alive = asyncio.run(pages.healthz())
    assert (alive.status, told(alive)["workers"]) == (HTTPStatus.OK, 1)


def test_it_is_ready_where_all_answers_and_a_thousand_ask_at_once(
    pages: status.Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is one look, and so the servers are asked once."""
    asked: list[object] = []
    may_answer = threading.Event()

    def lmtp(server: object) -> None:
        asked.append(server)
        may_answer.wait(60)

    monkeypatch.setattr(asking, "lmtp", lmtp)

    async def ask() -> list[Answer]:
        questions = [asyncio.create_task(pages.readyz()) for _ in range(1000)]
        await asyncio.sleep(0)  # all have asked
        may_answer.set()
        return await asyncio.gather(*questions)

    answers = asyncio.run(ask())
    assert len(asked) == 1
    assert {one.status for one in answers} == {HTTPStatus.OK}
    said = told(answers[0])
    assert (said["ready"], said["state"], said["servers"]) == (True, "healthy", {"lmtp": True})
    assert (said["database"], said["submission"], said["outbox"]) == (None, None, None)


def test_it_is_not_ready_where_a_server_does_not_answer(pages: status.Pages) -> None:
    answer = asyncio.run(pages.readyz())
    assert answer.status == HTTPStatus.SERVICE_UNAVAILABLE
    said = told(answer)
    assert said["ready"] is False
    assert said["problems"][0].endswith("does not answer: No such file or directory")
    page = asyncio.run(pages.metrics())
    assert b'lamson_server_up{server="lmtp"} 0.0\n' in page.body
    assert b'lamson_state{state="down"} 1.0\n' in page.body


def test_nobody_listens_where_no_address_is_set() -> None:
    group = status.group()
    off, on = Settings(handlers=[]), Settings(handlers=[], status=Status("127.0.0.1:8826"))
    assert (group.listeners(off), group.count(off)) == ([], 0)
    assert [one.listen for one in group.listeners(on)] == ["127.0.0.1:8826"]
    assert group.count(on) == 1
