"""lamson.service.looking: what hangs holds up nothing else, and many questions are one look."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NoReturn

import pytest

from lamson.errors import UnavailableError
from lamson.service.looking import Found, Look, look_at
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

LONG = 60.0  # seconds


class Asked:
    """Something to look at, which may hang; it counts how often it is looked at."""

    def __init__(self) -> None:
        self.times = 0
        self.answers = threading.Event()

    def __call__(self) -> int:
        self.times += 1
        self.answers.wait(LONG)
        return self.times


@pytest.fixture
def asked() -> Iterator[Asked]:
    one = Asked()
    yield one
    one.answers.set()


def failing(error: BaseException) -> Look:
    def work() -> NoReturn:
        raise error

    return Look(work)


def test_what_hangs_takes_one_thread_however_often_it_is_looked_at(asked: Asked) -> None:
    looks = {"hangs": Look(asked), "answers": Look(lambda: "here")}
    for _ in range(3):
        assert look_at(looks, 0.01)["hangs"] == Found(problem="no answer within 0.01 s")
    wait_for(lambda: asked.times == 1, "its thread")
    asked.answers.set()
    assert look_at(looks, LONG, fresh=LONG) == {"hangs": Found(1), "answers": Found("here")}


def test_what_was_found_is_used_again_for_a_moment(asked: Asked) -> None:
    asked.answers.set()
    looks = {"it": Look(asked)}
    for _ in range(3):
        assert look_at(looks, LONG, fresh=LONG)["it"] == Found(1)
    assert look_at(looks, LONG)["it"] == Found(2)


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused"),
        (OSError("said something else"), "said something else"),
        (UnavailableError("database: away"), "database: away"),
        (UnicodeError("label empty or too long"), "label empty or too long"),
        (RuntimeError("unheard of"), "RuntimeError('unheard of')"),
    ],
)
def test_whatever_is_raised_is_a_problem(error: Exception, problem: str) -> None:
    look = failing(error)
    assert look_at({"it": look}, LONG)["it"] == Found(problem=problem)
    assert look_at({"it": look}, LONG)["it"] == Found(problem=problem), "and it is looked at again"


def test_where_there_is_no_thread_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(thread: threading.Thread) -> NoReturn:
        raise RuntimeError("can't start new thread")

    look = Look(lambda: "here")
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", none)
        assert look_at({"it": look}, LONG)["it"].problem == "can't start new thread"
    wait_for(lambda: look_at({"it": look}, LONG)["it"] == Found("here"), "a thread later on")
