"""A Matcher: the first route for each function, in order, with captures where asked."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from lamson.routing.handler import Handler
from lamson.routing.matcher import Matcher
from lamson.routing.pattern import Pattern, compile_format

CAPTURES = {"user": "[a-z]+", "host": r"test\.com"}


class One(NamedTuple):
    pattern: Pattern
    handler: Handler


def first(message: object, **captures: str) -> None: ...
def second(message: object, **captures: str) -> None: ...


FIRST, SECOND = Handler(first), Handler(second)


def one(format: str, handler: Handler, engine: str = "re2") -> One:
    return One(compile_format(format, CAPTURES, engine=engine), handler)


def test_one_for_each_function_in_order() -> None:
    routes = [
        one("(user)@(host)", FIRST),
        one("z(user)@(host)", SECOND),
        one("zed@(host)", FIRST),
        one("(?!x).*@test.org", SECOND, "re"),
    ]
    matcher = Matcher(routes)
    assert matcher.routes == tuple(routes)
    assert matcher.find("zed@test.com") == [routes[0], routes[1]]
    assert matcher.match("zed@test.com") == [
        (routes[0], {"user": "zed", "host": "test.com"}),
        (routes[1], {"user": "ed", "host": "test.com"}),
    ]
    assert matcher.match("ann@test.com") == [(routes[0], {"user": "ann", "host": "test.com"})]
    assert matcher.match("zed@test.org") == [(routes[3], {})]
    assert matcher.find("zed@elsewhere.test") == []
    assert matcher.match("zed@elsewhere.test") == []


def test_a_single_route() -> None:
    route = one("(user)@(host)", FIRST)
    matcher = Matcher([route])
    assert matcher.find("zed@test.com") == [route]
    assert matcher.match("zed@test.com") == [(route, {"user": "zed", "host": "test.com"})]
    assert matcher.find("7@test.com") == []
    assert matcher.match("7@test.com") == []


@pytest.mark.parametrize("address", ["", "zed@test.com", "\udc80"])
def test_no_route_at_all(address: str) -> None:
    matcher: Matcher[One] = Matcher([])
    assert matcher.find(address) == []
    assert matcher.match(address) == []
