"""lamson.delivery.timers: who stays in a state for too long is handed on, once."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from lamson.delivery.errands import Fate
from lamson.errors import RouteError
from lamson.storage import tasks

if TYPE_CHECKING:
    from collections.abc import Callable

    from lamson.storage.database import Database
    from tests.unit.delivery.timely import Timely

    Make = Callable[..., Timely]

DAY = 86400.0

SOURCE = """
    from lamson.delivery.posting import Posting

    SEEN = []

    @route("(user)@(host)")
    def START(message, user, host):
        return WAITING

    @route("(user)@(host)")
    def WAITING(message, user, host):
        if user == "again":
            return WAITING
        if user == "done":
            return DONE

    @route("(user)@(host)")
    def DONE(message, user, host):
        pass

    @timeout(WAITING, days=3)
    def remind(expired: Expired, mailer: Posting, db: Session, user):
        SEEN.append(("remind", expired.author, expired.state, expired.since, user))
        mailer.send(mailer.compose(to=expired.author, sender="list@test.com", subject="?", body=""))

    @timeout("WAITING", days=7)
    def give_up(expired: Expired):
        SEEN.append(("give up", expired.author, expired.state, expired.since))
        return "DONE"
"""


def seen(here: Timely) -> list[tuple[object, ...]]:
    import sys

    found: list[tuple[object, ...]] = sys.modules[here.name].SEEN
    return found


def test_who_stays_is_handed_to_each_function_once(make_timely: Make) -> None:
    here = make_timely(SOURCE)
    began = here.now
    here.say("list@test.com")
    assert here.wait(2 * DAY) == []
    here.say("more@test.com")  # it stays: the time is not begun again
    assert here.wait(DAY - 1) == []
    assert here.wait(1) == [Fate.DONE]
    assert seen(here) == [("remind", "zed@example.com", "WAITING", began, "list")]
    assert here.sent() == ['["zed@example.com"]']
    assert here.wait(DAY) == []
    assert here.wait(3 * DAY) == [Fate.DONE]
    assert seen(here)[1:] == [("give up", "zed@example.com", "WAITING", began)]
    assert here.states() == {"zed@example.com": "DONE"}
    assert here.wait(100 * DAY) == []
    assert here.waiting() == []


def test_an_answer_ends_it_and_the_state_itself_begins_it_again(make_timely: Make) -> None:
    here = make_timely(SOURCE)
    here.say()
    here.now += DAY
    here.say("again@test.com")
    assert here.wait(2 * DAY) == []
    assert here.wait(DAY) == [Fate.DONE]
    here.say("done@test.com")
    assert here.waiting() == []
    assert here.wait(100 * DAY) == []


def test_any_state_but_start(make_timely: Make) -> None:
    here = make_timely("""
        @route("(user)@(host)")
        def START(message, user, host):
            return user.upper()

        @route("(user)@(host)")
        def ONE(message, user, host):
            return user.upper()

        @route("(user)@(host)")
        def TWO(message, user, host):
            return user.upper()

        @timeout(hours=1)
        def forget(expired: Expired):
            return START
    """)
    here.say("one@test.com")
    here.say("two@test.com")
    (task,) = here.waiting()
    assert task.payload["state"] == "TWO"
    here.say("start@test.com")
    assert here.waiting() == []
    here.say("two@test.com")
    assert here.wait(3600) == [Fate.DONE]
    assert here.states() == {"zed@example.com": "START"}


def test_a_module_without_timeouts_costs_nothing(make_timely: Make) -> None:
    here = make_timely("""
        @route("(user)@(host)")
        def START(message, user, host):
            return START
    """)
    assert not here.timers
    assert not here.timers.watches(here.name)


def test_the_error_state_has_a_timeout_too(make_timely: Make) -> None:
    from lamson.storage.maildir import Maildir

    here = make_timely("""
        @route("(user)@(host)")
        def START(message, user, host):
            raise ValueError("broken")

        def ERROR(message):
            pass

        @timeout(ERROR, hours=1)
        def forget(expired: Expired, user):
            assert user == "list"
            return START
    """)
    directory = str(here.router.error_state(here.name).file).rpartition("/")[0]  # type: ignore[union-attr]
    from pathlib import Path

    here.transactions._undeliverable = Maildir(Path(directory) / "kept")
    here.say()
    assert here.states() == {"zed@example.com": "ERROR"}
    assert here.wait(3600) == [Fate.DONE]
    assert here.states() == {"zed@example.com": "START"}


def test_a_failing_function_leaves_everything(make_timely: Make) -> None:
    here = make_timely(
        SOURCE.replace('return "DONE"', 'raise ValueError("broken")').replace("days=3", "days=8")
    )
    here.say()
    assert here.wait(7 * DAY) == [Fate.PUT_OFF]
    here.say("done@test.com")
    assert here.waiting() == []


def test_what_the_code_does_not_know_any_more_is_dropped(
    make_timely: Make, caplog: pytest.LogCaptureFixture
) -> None:
    make_timely(SOURCE).say()
    later = make_timely("""
        @route("(user)@(host)")
        def START(message, user, host):
            pass
    """)
    fates = [later.wait(3 * DAY)]
    while later.waiting():
        fates.append(later.wait(3600))
    assert len(fates) == 5
    assert "is dropped" in caplog.text


def test_somebody_moved_him_by_hand(make_timely: Make, database: Database) -> None:
    from sqlalchemy import text

    here = make_timely(SOURCE)
    here.say()
    with database.begin() as connection:
        connection.execute(text("UPDATE lamson_state SET state = 'DONE'"))
    assert here.wait(3 * DAY) == [Fate.DONE]
    assert seen(here) == []
    assert here.waiting() == []


RACE = """
    import threading

    BEGUN, GO, ANSWERED = threading.Event(), threading.Event(), threading.Event()
    CALLS = []

    @route("(user)@(host)")
    def START(message, user, host):
        return WAITING

    @route("(user)@(host)")
    def WAITING(message, user, host):
        CALLS.append("answer")
        BEGUN.set()
        assert GO.wait(10)
        return ANSWER

    @route("(user)@(host)")
    def ANSWER(message, user, host):
        pass

    @route("(user)@(host)")
    def LATE(message, user, host):
        CALLS.append("too late")

    @timeout(WAITING, days=3)
    def expire(expired: Expired):
        CALLS.append("timeout")
        BEGUN.set()
        assert GO.wait(10)
        return LATE
"""


@pytest.mark.parametrize("first", ["answer", "timeout"])
def test_an_answer_at_the_same_moment_wins_or_loses(make_timely: Make, first: str) -> None:
    import sys

    here = make_timely(RACE)
    module = sys.modules[here.name]
    here.say()
    here.now += 3 * DAY
    (task,) = here.due()
    fates: list[Fate] = []
    work: dict[str, Callable[[], object]] = {
        "answer": here.say,
        "timeout": lambda: fates.append(here.errands.run(task)),
    }
    second = {"answer": "timeout", "timeout": "answer"}[first]
    one = threading.Thread(target=work[first])
    other = threading.Thread(target=work[second])
    one.start()
    assert module.BEGUN.wait(10)
    other.start()  # it waits for the state
    other.join(0.2)
    assert other.is_alive()
    module.GO.set()
    one.join(10)
    other.join(10)
    if first == "answer":
        assert module.CALLS == ["answer"]
        assert fates == [Fate.GONE]
        assert here.states() == {"zed@example.com": "ANSWER"}
    else:
        assert module.CALLS == ["timeout", "too late"]
        assert fates == [Fate.DONE]
        assert here.states() == {"zed@example.com": "LATE"}
    assert here.waiting() == []


def test_many_answers_and_timeouts_at_once(make_timely: Make, database: Database) -> None:
    """Each correspondent gets exactly one of the two, whoever is first."""
    import sys

    one = make_timely(RACE)
    module = sys.modules[one.name]
    module.GO.set()
    authors = [f"a{number}@example.com" for number in range(20)]
    for author in authors:
        one.say(author=author)
    one.now += 3 * DAY
    due = one.due()
    threads = [
        threading.Thread(target=lambda: [one.say(author=author) for author in authors]),
        threading.Thread(target=lambda: [one.errands.run(task) for task in reversed(due)]),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    states = one.states()
    for author in authors:
        assert states[author] in ("ANSWER", "LATE")
    assert module.CALLS.count("answer") + module.CALLS.count("timeout") == len(authors)
    with database.read() as connection:
        assert tasks.next_due(connection) is None


def test_modules_that_share_their_keys_end_each_others_timers(make_timely: Make) -> None:
    here = make_timely("""
        @state_key_generator
        def shared(module, message):
            return "shared"

        @route("one@(host)")
        def START(message, host):
            return WAITING

        @route("one@(host)")
        def WAITING(message, host):
            return START

        @timeout(WAITING, days=3)
        def expire(expired: Expired):
            assert expired.module == "shared"
            return START
    """)
    here.say("one@test.com")
    assert here.wait(3 * DAY) == [Fate.DONE]
    assert here.states() == {"zed@example.com": "START"}


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ('@timeout("NOWHERE", days=1)\ndef f(expired: Expired): pass', "no state of"),
        ("@timeout(START)\ndef f(expired: Expired): pass", "needs how long"),
        ("@timeout\ndef f(expired: Expired): pass", "needs how long"),
        ("@timeout(START, days=-1)\ndef f(expired: Expired): pass", "more than 0"),
        ("@timeout(days=1)\ndef f(expired): pass", "'expired', which nobody gives"),
        ("@timeout(days=1)\ndef f(expired: Expired, usr): pass", r"capture \(host, user\)"),
        ("@timeout(days=1)\ndef f(user: Thread): pass", "no message calls a timeout"),
        ("@timeout(days=1)\ndef f(delivery: Delivery): pass", "asks for a Delivery"),
        ("@timeout(days=1)\n@stateless\ndef f(expired: Expired): pass", "only one of them"),
        ("@timeout(days=1)\nasync def f(expired: Expired): pass", "async def"),
        ("@timeout(days=1)\ndef f(expired: Expired): yield", "yield"),
        ("@timeout(days=1)\ndef f(expired: Expired, /): pass", "before the /"),
        ("@timeout(3, days=1)\ndef f(expired: Expired): pass", "is no state"),
    ],
)
def test_what_cannot_be_is_told_when_it_is_loaded(
    make_timely: Make, source: str, problem: str
) -> None:
    start = '@route("(user)@(host)")\ndef START(message, user, host): pass\n'
    with pytest.raises(RouteError, match=problem) as raised:
        make_timely(start + source)
    assert raised.value.line
