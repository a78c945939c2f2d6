"""lamson.delivery.later: work after the commit, at least once, outside of a transaction."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from lamson.delivery.errands import ENOUGH, Fate
from lamson.errors import RouteError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lamson.storage.database import Database
    from tests.unit.delivery.timely import Timely

    Make = Callable[..., Timely]

SOURCE = """
    CALLS, FAILS = [], []

    @background
    def tell(customer, note="", *, attempt: Attempt):
        CALLS.append((customer, note, attempt.key, attempt.number))
        if FAILS:
            raise ValueError("broken")

    def plain(customer):
        pass

    @route("(user)@(host)")
    @stateless
    def take(message, delivery: Delivery, user, host):
        if user == "plain":
            delivery.later(plain, 1)
        elif user == "keyed":
            delivery.later(tell, customer=1, key="order-1")
        elif user == "many":
            delivery.later(tell, 1, 2, 3)
        elif user == "odd":
            delivery.later(tell, {1, 2})
        elif user == "missing":
            delivery.later(tell)
        elif user == "unknown":
            delivery.later(tell, 1, colour="red")
        else:
            delivery.later(tell, 1, note="hello")
        if user == "fails":
            raise ValueError("after that")
"""


def module(here: Timely) -> Any:
    return sys.modules[here.name]


def run(here: Timely) -> list[Fate]:
    import time

    here.now = max(here.now, time.time() + 1)
    return here.run_due()


def test_it_is_done_after_the_commit(make_timely: Make) -> None:
    here = make_timely(SOURCE)
    here.say("list@test.com")
    assert here.told == 1
    (task,) = here.waiting()
    assert module(here).CALLS == []
    assert run(here) == [Fate.DONE]
    assert [(1, "hello", task.payload["key"], 1)] == module(here).CALLS
    assert here.waiting() == []


def test_it_is_not_done_for_what_was_rolled_back(make_timely: Make) -> None:
    here = make_timely(SOURCE)
    here.say("fails@test.com")
    assert here.waiting() == []
    assert here.told == 0


def test_a_key_that_waits_is_added_once(make_timely: Make) -> None:
    here = make_timely(SOURCE)
    here.say("keyed@test.com")
    here.say("keyed@test.com")
    assert run(here) == [Fate.DONE]
    assert module(here).CALLS == [(1, "", "order-1", 1)]


def test_a_failure_is_tried_again_with_the_same_key_and_kept_in_the_end(make_timely: Make) -> None:
    here = make_timely(SOURCE)
    module(here).FAILS.append(True)
    here.say("list@test.com")
    fates = []
    while not (task := here.waiting()[0]).is_aside:
        here.now = max(here.now, task.due_at)
        fates += here.run_due()
    assert fates == [Fate.PUT_OFF] * ENOUGH
    assert [call[3] for call in module(here).CALLS] == list(range(1, ENOUGH + 1))
    assert len({call[2] for call in module(here).CALLS}) == 1
    assert task.last_error == f"failed {ENOUGH} times: broken"


def test_it_is_leased_while_it_runs_and_again_when_that_is_over(
    make_timely: Make, database: Database
) -> None:
    here = make_timely(SOURCE, deadline=300.0)
    seen: list[object] = []

    def slow(task: object) -> None:
        seen.append(here.due())  # nobody else's while it runs
        with database.begin():  # the writer is free
            pass
        here.now += 311
        seen.append([here.errands.run(one) for one in here.due()] if len(seen) < 2 else None)

    here.say("list@test.com")
    here.errands.register_outside("later", slow)
    import time

    here.now = max(here.now, time.time() + 1)
    (task,) = here.due()
    assert here.errands.run(task) is Fate.DONE
    assert seen[0] == []
    assert seen[2] is None  # that which began when the lease was over
    assert seen[3] == [Fate.DONE]
    assert here.waiting() == []


@pytest.mark.parametrize("user", ["plain", "many", "odd", "missing", "unknown"])
def test_what_cannot_be_called_so_is_told_at_once(
    make_timely: Make, caplog: pytest.LogCaptureFixture, user: str
) -> None:
    here = make_timely(SOURCE)
    job = here.say(f"{user}@test.com")
    assert job.reply is not None
    assert job.reply.code == 451
    assert "TypeError" in caplog.text
    assert here.waiting() == []


@pytest.mark.parametrize("what", ["Session", "Mailer", "Expired"])
def test_a_session_is_not_for_it(make_timely: Make, what: str) -> None:
    """It is said at the start, and not to the first mail that asks for it."""
    with pytest.raises(RouteError, match=f"asks for a {what} .'db'.*it is given Attempt"):
        make_timely(f"@background\ndef f(id: int, db: {what}): pass")


def test_it_is_nothing_besides(make_timely: Make) -> None:
    with pytest.raises(RouteError, match="only one of them"):
        make_timely('@background\n@every("1 day")\ndef f(): pass')
