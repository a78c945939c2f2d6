"""The judges together: the first opinion counts, and none of them can hold up anything."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from lamson.delivery.spam.opinion import Opinion
from lamson.delivery.spam.panel import FAILURES, REST, Own, Panel, judge_of
from tests.unit.support import make_message

if TYPE_CHECKING:
    from lamson.message.request import MailRequest


class Saying:
    """A judge of the test; counts how often it was asked."""

    def __init__(self, opinion: Opinion | BaseException | None, *, is_shared: bool = True) -> None:
        self.name = "saying"
        self.is_shared = is_shared
        self.is_server = is_shared
        self.asked = 0
        self.says = opinion

    def opinion(self, message: MailRequest, deadline: float) -> Opinion | None:
        self.asked += 1
        if isinstance(self.says, BaseException):
            raise self.says
        return self.says


SPAM, HAM = Opinion(True, "x"), Opinion(False)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_first_that_has_an_opinion_decides() -> None:
    silent, ham, spam = Saying(None), Saying(HAM), Saying(SPAM)
    assert Panel([silent, ham, spam], timeout=1).opinions([make_message()]) == [HAM]
    assert (silent.asked, spam.asked) == (1, 0)
    assert Panel([spam, ham], timeout=1).opinions([make_message()]) == [SPAM]
    assert Panel([silent], timeout=1).opinions([make_message()]) == [None]
    assert Panel([], timeout=1).opinions([make_message()]) == [None]


def test_a_server_is_asked_once_for_all_recipients() -> None:
    shared, own = Saying(None), Saying(None, is_shared=False)
    assert Panel([shared, own], timeout=1).opinions([make_message()] * 3) == [None] * 3
    assert (shared.asked, own.asked) == (1, 3)


def test_a_test_asks_no_server() -> None:
    server, own = Saying(SPAM), Saying(HAM, is_shared=False)
    assert Panel([server, own], timeout=1).opinions([make_message()], is_alone=True) == [HAM]


@pytest.mark.parametrize("error", [OSError("refused"), RecursionError(), SystemExit(3)])
def test_who_raises_has_no_opinion(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    broken, spam = Saying(error), Saying(SPAM)
    with caplog.at_level(logging.WARNING):
        assert Panel([broken, spam], timeout=1).opinions([make_message()]) == [SPAM]
    assert "saying has no opinion" in caplog.text


def test_who_fails_again_and_again_rests(caplog: pytest.LogCaptureFixture) -> None:
    clock, broken = Clock(), Saying(OSError("refused"))
    panel = Panel([broken], timeout=1, clock=clock)
    for _ in range(FAILURES + 5):
        panel.opinions([make_message()])
    assert broken.asked == FAILURES
    assert "not asked for 30 s" in caplog.text
    clock.now += REST
    broken.says = SPAM
    assert panel.opinions([make_message()]) == [SPAM]
    broken.says = OSError()
    for _ in range(FAILURES - 1):  # counted anew
        panel.opinions([make_message()])
    broken.says = None
    panel.opinions([make_message()])
    broken.says = OSError()
    panel.opinions([make_message()])
    asked = broken.asked
    panel.opinions([make_message()])
    assert broken.asked == asked + 1


def test_when_the_time_is_over_nobody_else_is_asked() -> None:
    clock = Clock()

    class Slow(Saying):
        def opinion(self, message: MailRequest, deadline: float) -> Opinion | None:
            assert deadline == 1001.0
            clock.now += 5
            return None

    spam = Saying(SPAM)
    assert Panel([Slow(None), spam], timeout=1, clock=clock).opinions([make_message()]) == [None]
    assert spam.asked == 0


def test_a_function_of_the_application() -> None:
    def viagra(message: MailRequest) -> bool | None:
        return True if "viagra" in message.subject else None

    judge = judge_of(viagra, max_size=0)
    assert judge.opinion(make_message(), 0.0) is None
    opinion = judge.opinion(make_message(b"Subject: viagra\r\n\r\n"), 0.0)
    assert opinion is not None
    assert opinion.is_spam
    assert opinion.why.endswith("viagra")
    wrong: Any = lambda message: 1  # noqa: E731
    with pytest.raises(TypeError, match="expected True, False or None"):
        Own(wrong).opinion(make_message(), 0.0)


@pytest.mark.parametrize(
    ("named", "name"),
    [
        ("fields", "fields"),
        ("field:X-Mine", "field:X-Mine"),
        ("notes", "notes:spam"),
        ("notes:junk", "notes:junk"),
        ("rspamd:http://[::1]:11333/", "rspamd:http://[::1]:11333"),
        ("spamd:localhost:783", "spamd:localhost:783"),
    ],
)
def test_judges_by_name(named: str, name: str) -> None:
    assert judge_of(named, max_size=1).name == name


def test_what_is_no_judge() -> None:
    for wrong in ("field", "fields:x", "rspamd:https://x:1", "spamd:x", "bogofilter"):
        with pytest.raises(ValueError, match=r"no judge|host:port"):
            judge_of(wrong, max_size=1)
    with pytest.raises(TypeError):
        judge_of(3, max_size=1)
