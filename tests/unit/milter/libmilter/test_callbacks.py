"""lamson_milter.libmilter.callbacks: what is negotiated, and what a mail is answered.

The rest is told to the real libmilter, in tests/milter.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from lamson_milter.decision.transaction import Rules
from lamson_milter.libmilter.budget import Budget
from lamson_milter.libmilter.runner import Limits
from lamson_milter.libmilter.threads import FilterThreads
from lamson_milter.rules import Asking
from tests.unit.milter.libmilter.fakes import FakeContext
from tests.unit.milter.support import make_filters

milter = pytest.importorskip(
    "milter", reason="pymilter is not installed (pip install 'lamson-postfix[milter]')"
)

from lamson_milter.libmilter.callbacks import Callbacks  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Make = Callable[..., Callbacks]

ALL = (1 << 32) - 1  # whatever there is, as Postfix offers it
QUEUE_ID = "4bYmCz0R3Dz1Xy"

MESSAGE = """
@filter_message("(user)@(host)")
def by_name(message, user, host):
    if user == "bad":
        return Reject("5.7.9", message.body.strip())
    if user == "slow":
        STOP.wait(30)
    if user == "hold":
        return Quarantine("look")
    if user == "drop":
        return Discard
    message.add_header("X-User", user)
"""


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def make(source: str, limits: Limits | None = None, **options: Any) -> Callbacks:
        rules = Rules(make_filters(tmp_path, source), Asking())
        budget = options.pop("budget", None) or Budget(1 << 30)
        return Callbacks(rules, FilterThreads(2), limits or Limits(), budget, **options)

    return make


def connected(callbacks: Callbacks) -> FakeContext:
    ctx = FakeContext(i=QUEUE_ID)
    assert callbacks.negotiate(ctx, [ALL, ALL, 0, 0]) == milter.CONTINUE
    ctx.told.clear()
    callbacks.connect(ctx, "client.test", 2, ("192.0.2.1", 25))
    return ctx


def mail(callbacks: Callbacks, ctx: FakeContext, *users: str, body: bytes = b"Hi.\r\n") -> int:
    """A mail to these users, told from MAIL to its end; what the end is answered."""
    callbacks.mail(ctx, b"<zed@sender.test>")
    for user in users:
        assert callbacks.rcpt(ctx, b"<%b@test.com>" % user.encode()) == milter.NOREPLY
    assert callbacks.header(ctx, "Subject", b" Hello") == milter.NOREPLY
    assert callbacks.body(ctx, body) == milter.NOREPLY
    return callbacks.end(ctx)


@pytest.mark.parametrize(
    ("source", "without"),
    [
        ("@filter_connection\ndef f(c): ...", "NOHELO NR_MAIL NR_RCPT NOBODY"),
        ("@filter_sender(helo=True)\ndef f(m): ...", "NOCONNECT NR_RCPT NOBODY"),
        ('@filter_recipient("a@b")\ndef f(m): ...', "NOCONNECT NOHELO NR_MAIL NOBODY"),
        ('@filter_message("a@b")\ndef f(m): ...', "NOCONNECT NOHELO NR_MAIL NR_RCPT NR_BODY"),
        (
            '@filter_message("a@b", body=7)\ndef f(m): ...',
            "NOCONNECT NOHELO NR_MAIL NR_RCPT SKIP",
        ),
        (
            '@filter_message("a@b", body=False)\ndef f(m): ...',
            "NOCONNECT NOHELO NR_MAIL NR_RCPT NOBODY",
        ),
    ],
)
def test_what_no_filter_needs_is_not_sent(make: Make, source: str, without: str) -> None:
    options = [ALL, ALL, 0, 0]
    make(source).negotiate(FakeContext(), options)
    names = ["NOCONNECT", "NOHELO", "NR_MAIL", "NR_RCPT", "NOHDRS", "NOBODY", "NR_BODY", "SKIP"]
    found = {name for name in names if options[1] & getattr(milter, f"P_{name}")}
    always = {"SKIP"} if "NOBODY" in without else set()
    assert found == set(without.split()) | always


def test_nothing_is_taken_that_postfix_does_not_offer(make: Make) -> None:
    options = [0, milter.P_NR_HDR, 0, 0]
    ctx = FakeContext()
    make(MESSAGE).negotiate(ctx, options)
    assert options == [0, milter.P_NR_HDR, 0, 0]
    assert ctx.told == [], "it takes no list of macros"


def test_a_mail_is_edited_and_forgotten(make: Make) -> None:
    callbacks = make(MESSAGE)
    ctx = connected(callbacks)
    assert mail(callbacks, ctx, "one") == milter.CONTINUE
    assert ctx.told == [("addheader", "X-User", " one", -1)]
    assert ctx.getpriv().transaction is None
    assert callbacks.last_end > 0


@pytest.mark.parametrize(
    ("user", "status", "told"),
    [
        ("bad", "REJECT", [("setreply", "550", "5.7.9", "Hi.")]),
        ("hold", "CONTINUE", [("quarantine", "look")]),
        ("drop", "DISCARD", []),
    ],
)
def test_verdicts(make: Make, user: str, status: str, told: list[tuple[str, ...]]) -> None:
    callbacks = make(MESSAGE)
    ctx = connected(callbacks)
    assert mail(callbacks, ctx, user) == getattr(milter, status)
    assert [one for one in ctx.told if one[0] != "addheader"] == told


def test_a_filter_that_takes_too_long_is_451(
    make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stop, stuck = threading.Event(), []
    callbacks = make(MESSAGE, Limits(content=0.05), on_stuck=lambda: stuck.append(1))
    function = callbacks._rules.filters.all[0].handler.function
    monkeypatch.setitem(function.__globals__, "STOP", stop)
    ctx = connected(callbacks)
    try:
        assert mail(callbacks, ctx, "slow") == milter.TEMPFAIL
        assert ctx.told[-1][:3] == ("setreply", "451", "4.3.0")
        assert f"id={QUEUE_ID}: filter " in caplog.text
        assert "by_name: not done within 0.05 s; answered 451 to client.test[192.0.2.1]" in (
            caplog.text
        )
        assert stuck, "half of the threads are busy"
    finally:
        stop.set()


def test_what_goes_wrong_where_nothing_is_answered_is_451_at_the_end(make: Make) -> None:
    callbacks = make(MESSAGE)
    ctx = connected(callbacks)
    callbacks.mail(ctx, b"<zed@sender.test>")
    assert callbacks.rcpt(ctx, None) == milter.NOREPLY  # type: ignore[arg-type]
    assert callbacks.rcpt(ctx, b"<one@test.com>") == milter.NOREPLY
    assert callbacks.end(ctx) == milter.TEMPFAIL
    assert ctx.told == [("setreply", "451", "4.3.0", ctx.told[0][3])]
    assert mail(callbacks, ctx, "one") == milter.CONTINUE, "the next one is another"


def test_a_header_that_is_too_long_refuses(make: Make) -> None:
    callbacks = make(MESSAGE)
    ctx = connected(callbacks)
    callbacks.mail(ctx, b"<zed@sender.test>")
    callbacks.rcpt(ctx, b"<one@test.com>")
    for _ in range(10_001):
        callbacks.header(ctx, "a", b"")
    assert len(ctx.getpriv().transaction.fields) == 10_000
    assert callbacks.end(ctx) == milter.REJECT
    assert ctx.told[-1][:3] == ("setreply", "552", "5.3.4")


def test_more_of_the_body_than_is_read_is_skipped(make: Make) -> None:
    callbacks = make('@filter_message("a@b", body=7)\ndef f(m): ...')
    ctx = connected(callbacks)
    callbacks.mail(ctx, b"<zed@sender.test>")
    assert callbacks.body(ctx, b"seven .") == milter.CONTINUE
    assert callbacks.body(ctx, b"more") == milter.SKIP


def test_sessions_are_counted_until_they_close(make: Make) -> None:
    callbacks = make(MESSAGE)
    ctx = connected(callbacks)
    assert callbacks.sessions == {ctx.getpriv()}
    assert not callbacks.is_stuck()
    ctx.getpriv().since = time.monotonic() - Limits().content - 1
    assert callbacks.is_stuck()
    callbacks.close(ctx)
    assert callbacks.sessions == set()
    callbacks.close(FakeContext())  # one that never got that far


def test_a_session_that_was_never_negotiated_is_none_of_postfixs(make: Make) -> None:
    callbacks = make(MESSAGE)
    ctx = FakeContext()
    assert callbacks.connect(ctx, "client.test", 2, ("192.0.2.1", 25)) == milter.TEMPFAIL
    assert callbacks.helo(ctx, "client.test") == milter.TEMPFAIL
    assert callbacks.mail(ctx, b"<zed@sender.test>") == milter.TEMPFAIL
    assert callbacks.rcpt(ctx, b"<one@test.com>") == milter.TEMPFAIL
    assert callbacks.header(ctx, "Subject", b" Hello") == milter.TEMPFAIL
    assert callbacks.body(ctx, b"Hi.") == milter.TEMPFAIL
    assert callbacks.end(ctx) == milter.TEMPFAIL
    assert callbacks.abort(ctx) == milter.CONTINUE


def test_more_connections_than_allowed(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    callbacks = make(MESSAGE, max_connections=1)
    ctx = connected(callbacks)
    for _ in range(3):
        assert callbacks.negotiate(FakeContext(), [ALL, ALL, 0, 0]) == milter.REJECT
    assert caplog.text.count("1 connections are open: refused one") == 1
    callbacks.close(ctx)
    connected(callbacks)


def test_more_memory_than_there_is(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    budget = Budget(200_000)
    callbacks = make(MESSAGE, budget=budget)
    ctx, other = connected(callbacks), connected(callbacks)
    callbacks.mail(ctx, b"<zed@sender.test>")
    callbacks.body(ctx, b"x" * 150_000)
    assert mail(callbacks, other, "one", body=b"x" * 100_000) == milter.TEMPFAIL
    assert other.told[-1][:3] == ("setreply", "452", "4.3.1")
    assert f"id={QUEUE_ID}: milter.max_buffered" in caplog.text
    callbacks.abort(ctx)
    assert budget.used == 0
    assert mail(callbacks, other, "one", body=b"x" * 100_000) == milter.CONTINUE
    assert budget.used == 0


@pytest.mark.parametrize(
    ("decorator", "is_ours"),
    [("body=False", True), ("body=False, inline=True", False)],
)
def test_filters_run_on_threads_of_ours_unless_they_say_otherwise(
    make: Make, decorator: str, is_ours: bool
) -> None:
    source = f"""
import threading
@filter_message("(user)@(host)", {decorator})
def f(message, user, host):
    message.add_header("X-Thread", str(threading.current_thread().name == "lamson-filter"))
"""
    callbacks = make(source)
    ctx = connected(callbacks)
    for _ in range(30):  # however quick they have been
        ctx.told.clear()
        callbacks.mail(ctx, b"<zed@sender.test>")
        callbacks.rcpt(ctx, b"<one@test.com>")
        assert callbacks.end(ctx) == milter.CONTINUE
        assert ctx.told == [("addheader", "X-Thread", f" {is_ours}", -1)]


def test_threads_that_are_all_busy_are_named(
    make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stop = threading.Event()
    callbacks = make(MESSAGE, Limits(content=0.05))
    function = callbacks._rules.filters.all[0].handler.function
    monkeypatch.setitem(function.__globals__, "STOP", stop)
    try:
        for _ in range(3):
            assert mail(callbacks, connected(callbacks), "slow") == milter.TEMPFAIL
        assert "filters: all 2 threads are busy with " in caplog.text
        assert "by_name (2)" in caplog.text
    finally:
        stop.set()
