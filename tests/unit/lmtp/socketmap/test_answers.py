"""lamson_lmtp.socketmap.answers: what each map answers."""

import logging
import tracemalloc
from typing import Any

import pytest

from lamson.routing.router import Momentary, Router
from lamson_lmtp.socketmap.answers import BAD_REQUEST, FAILED, NOT_FOUND, Socketmap

ROUTED = {"users@test.com", "users+x@test.com", '"a b"@test.com', "über@test.com"}


@pytest.fixture
def socketmap() -> Socketmap:
    return Socketmap(
        ROUTED.__contains__, {"test.com", "bü.test"}.__contains__, "lmtp:inet:[::1]:8823"
    )


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        ("recipient users@test.com", b"OK routed"),
        ("recipient users@TEST.com", b"OK routed"),
        ('recipient "users"@test.com', b"OK routed"),
        ("recipient users+x@test.com", b"OK routed"),
        ('recipient "a b"@test.com', b"OK routed"),
        ("recipient über@test.com", b"OK routed"),
        ("recipient nobody@test.com", NOT_FOUND),
        ("recipient users", NOT_FOUND),
        ("recipient users+", NOT_FOUND),
        ("recipient @test.com", NOT_FOUND),
        ("recipient test.com", NOT_FOUND),
        ("recipient a b@test.com", NOT_FOUND),
        ("recipient users@test.com@", NOT_FOUND),
        ("recipient " + "a" * 99_000 + "@test.com", NOT_FOUND),
        ("recipient ", NOT_FOUND),
        ("transport users@test.com", b"OK lmtp:inet:[::1]:8823"),
        ("transport nobody@test.com", b"OK lmtp:inet:[::1]:8823"),
        ("transport test.com", b"OK lmtp:inet:[::1]:8823"),
        ("transport zed@example.com", NOT_FOUND),
        ("transport *", NOT_FOUND),
        ("transport <>", NOT_FOUND),
        ("domain test.com", b"OK ours"),
        ("domain bü.test", b"OK ours"),
        ("domain lists.test.com", NOT_FOUND),
        ("domain .test.com", NOT_FOUND),
        ("domain users@test.com", NOT_FOUND),
        ("recipient", BAD_REQUEST),
        ("", BAD_REQUEST),
    ],
)
def test_answers(socketmap: Socketmap, request_: str, answer: bytes) -> None:
    assert socketmap.answer(request_.encode()) == answer


def test_a_map_that_there_is_not(socketmap: Socketmap) -> None:
    answer = socketmap.answer(b"aliases users@test.com")
    assert answer == b"PERM there is no such map; there are recipient, transport, domain"


def test_what_is_no_text_is_not_found(socketmap: Socketmap) -> None:
    assert socketmap.answer(b"recipient \xff@test.com") == NOT_FOUND


def test_a_failure_of_ours_defers(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: str) -> Any:
        raise RuntimeError("broken")

    with caplog.at_level(logging.ERROR, "lamson"):
        assert Socketmap(fail, fail, "x").answer(b"recipient a@b.test") == FAILED
    assert "broken" in caplog.text


def test_what_was_asked_before_is_remembered() -> None:
    asked: list[str] = []

    def route(address: str) -> bool:
        asked.append(address)
        return True

    socketmap = Socketmap(route, {"b.test"}.__contains__, "x")
    for _ in range(3):
        assert socketmap.answer(b"recipient a@b.test") == b"OK routed"
        assert socketmap.answer(b"recipient A@b.test") == b"OK routed"
        assert socketmap.answer(b"transport a@c.test") == b"OK x"
    assert asked == ["a@b.test", "A@b.test", "a@c.test"]


def test_an_address_with_a_token_is_looked_up_each_time() -> None:
    found: list[Any] = [Momentary(), ["a route"]]
    socketmap = Socketmap(lambda _: found.pop(0), set().__contains__, "x")
    assert socketmap.answer(b"recipient list-confirm-token@b.test") == NOT_FOUND
    assert socketmap.answer(b"recipient list-confirm-token@b.test") == b"OK routed"


def test_a_reserved_address_is_looked_up_each_time() -> None:
    """Once the clock was wrong, or the key could not be read: that must not be for good."""
    is_taken = [False, True, False]
    router = Router([], {})
    router.reserve("bounces+", lambda _: is_taken.pop(0), lambda message: None)
    socketmap = Socketmap(router.match, set().__contains__, "x")
    for answer in (NOT_FOUND, b"OK routed", NOT_FOUND):
        assert socketmap.answer(b"recipient bounces+x@b.test") == answer


def test_a_failure_is_not_remembered() -> None:
    answers: list[Any] = [RuntimeError("broken"), ("a route",)]

    def route(_: str) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    socketmap = Socketmap(route, set().__contains__, "x")
    assert socketmap.answer(b"recipient a@b.test") == FAILED
    assert socketmap.answer(b"recipient a@b.test") == b"OK routed"


def test_strangers_cannot_fill_the_memory_with_questions() -> None:
    tracemalloc.start()
    try:
        socketmap = Socketmap(lambda _: (), set().__contains__, "x")
        for number in range(10_000):
            socketmap.answer(b"recipient %d%s@b.test" % (number, b"a" * 450))
        for number in range(200):
            socketmap.answer(b"recipient %d%s@b.test" % (number, b"a" * 90_000))
        assert tracemalloc.get_traced_memory()[0] < 8 << 20
    finally:
        tracemalloc.stop()
