"""lamson.service.worker: what a worker tells its supervisor, and what it imports afresh."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

import lamson
from lamson.errors import SettingsError
from lamson.service.heartbeat import Heartbeat
from lamson.service.worker import ENDING, LOADING, Group, Link, Worker, forget_modules

if TYPE_CHECKING:
    from collections.abc import Iterator


class Pair:
    """Both ends: the worker's `Link`, and the supervisor's `Worker`."""

    def __init__(self) -> None:
        reading, self.writing = os.pipe()
        os.set_blocking(reading, False)
        group = Group("LMTP", lambda settings: [], lambda settings: 1, lambda *given: None)
        heartbeat = Heartbeat(300.0)
        self.worker = Worker(1, 0, 0, reading, group, heartbeat)
        self.link = Link(self.writing, -1, 0, slot=0, is_patient=False, heartbeat=heartbeat)


@pytest.fixture
def pair() -> Iterator[Pair]:
    pair = Pair()
    yield pair
    os.close(pair.worker.status)
    pair.worker.heartbeat.close()


def test_the_supervisor_reads_what_the_worker_says(pair: Pair) -> None:
    worker, link = pair.worker, pair.link
    worker.read()
    assert not worker.is_ready
    link.ready()
    link.recycle()
    worker.read()
    assert worker.is_ready
    assert worker.wants_replacement
    link.failed(SettingsError("no such file"))
    worker.read()
    assert (worker.error, worker.code) == ("no such file", os.EX_CONFIG)
    assert not worker.is_silent
    os.close(pair.writing)
    worker.read()
    assert worker.is_silent


def test_a_message_that_comes_in_two_parts_is_one(pair: Pair) -> None:
    os.write(pair.writing, b'{"state": ')
    pair.worker.read()
    os.write(pair.writing, b'"ready"}\n')
    pair.worker.read()
    assert pair.worker.is_ready
    os.close(pair.writing)


def test_it_answers_while_it_beats_or_has_time_left(pair: Pair, tmp_path: Path) -> None:
    worker, link = pair.worker, pair.link
    assert worker.is_answering
    worker.look(LOADING - 1, tmp_path)
    assert worker.is_answering, "it may load for so long"
    worker.look(1, tmp_path)
    assert not worker.is_answering
    link.ready()
    worker.read()
    worker.heartbeat.beat()
    worker.look(1, tmp_path)
    assert worker.is_answering
    worker.look(3 * worker.heartbeat.interval, tmp_path)
    assert worker.is_answering, "a busy machine lets it wait"
    worker.look(1, tmp_path)
    assert not worker.is_answering
    worker.heartbeat.beat()
    worker.look(1, tmp_path)
    assert worker.is_answering
    worker.is_ending = True
    worker.heartbeat.beat()
    worker.look(ENDING, tmp_path)
    worker.heartbeat.beat()
    assert not worker.is_answering, "it was killed, and has not gone"
    os.close(pair.writing)


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    """A copy of what is imported, to forget some of."""
    copied = dict(sys.modules)
    monkeypatch.setattr(sys, "modules", copied)
    return copied


def test_modules_of_the_project_are_forgotten_but_not_what_is_installed_in_it(
    tmp_path: Path, modules: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    def imported(name: str, file: Path) -> str:
        modules[name] = ModuleType(name)
        modules[name].__file__ = str(file)
        return name

    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    ours = imported("an_app_of_ours", tmp_path / "app.py")
    installed = imported("a_library", tmp_path / ".venv/lib/a_library.py")
    elsewhere = imported("a_neighbour", tmp_path.parent / "elsewhere/app.py")
    forget_modules(tmp_path)
    assert ours not in modules
    assert {installed, elsewhere, "lamson"} <= modules.keys()


def test_lamson_itself_is_no_module_of_a_project_around_it(modules: dict[str, ModuleType]) -> None:
    forget_modules(Path(lamson.__file__).parents[2])
    assert "lamson.service.worker" in modules
