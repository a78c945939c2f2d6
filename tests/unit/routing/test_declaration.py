"""Declarations: notes on functions, of each kind by itself."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import pytest

from lamson.errors import RouteError
from lamson.routing.declaration import (
    HANDLERS,
    Declaration,
    Declarations,
    DeclaredRoute,
    check_format,
    origin,
)
from lamson.routing.handler import Handler

if TYPE_CHECKING:
    from collections.abc import Callable

OTHERS: Declarations[Declaration[DeclaredRoute]] = Declarations(
    "others", {"other"}, Declaration, noun="other", example="@other"
)


def declared(format: str, **captures: str) -> DeclaredRoute:
    return DeclaredRoute(format, "re2", captures, "there.py", 7)


def test_a_declaration_is_an_attribute_of_a_function() -> None:
    def function() -> None: ...

    assert HANDLERS.of(function) is None
    declaration = HANDLERS.on(function)
    assert HANDLERS.on(function) is declaration is HANDLERS.of(function)
    with pytest.raises(RouteError, match="is no function: handlers are plain def functions"):
        HANDLERS.on(str)
    with pytest.raises(RouteError, match="is no function: others are plain def functions"):
        OTHERS.note(str, declared("a"))


def test_kinds_do_not_meet() -> None:
    def function() -> None: ...

    OTHERS.note(function, declared("a"))
    assert HANDLERS.of(function) is None
    HANDLERS.note(function, declared("b"))
    other = OTHERS.of(function)
    assert other is not None
    assert [route.format for route in other.routes] == ["a"]


def test_what_is_noted_later_stood_higher() -> None:
    def function() -> None: ...

    assert OTHERS.note(function, declared("c")) is function
    OTHERS.note(function, declared("a"), declared("b"))
    assert [route.format for route in OTHERS.on(function).routes] == ["a", "b", "c"]


def test_a_wrapped_function_keeps_what_was_declared() -> None:
    @HANDLERS.note
    def function() -> None: ...

    HANDLERS.note(function, declared("a"))

    @functools.wraps(function)
    def wrapper() -> None: ...

    assert HANDLERS.of(wrapper) is HANDLERS.of(function)


def test_the_place_is_that_of_the_decorator() -> None:
    def decorator() -> tuple[str, int]:
        return origin()

    expected = test_the_place_is_that_of_the_decorator.__code__.co_firstlineno + 5
    assert decorator() == (__file__, expected)


def test_a_decorator_without_its_format() -> None:
    with pytest.raises(RouteError, match=r'^@other needs a format: @other\("\(user\)@\(host\)"\)$'):
        check_format(len, "other")


def test_compiling() -> None:
    def handler(message: object, user: str) -> None: ...

    pattern = declared("(user)@x", user="[a-z]").compile(Handler(handler), {"user": "[0-9]"})
    assert pattern.match("a@x") == {"user": "a"}
    assert declared("(user)@x").compile(Handler(handler), {"user": "[0-9]"}).match("a@x") is None


@pytest.mark.parametrize(
    ("route", "handler", "problem"),
    [
        (declared("(user)@x"), lambda message, user: None, "names the capture"),
        (declared("a@x", user="b"), lambda message: None, r"has no capture \(user\)"),
        (declared("(user)@x", user="b"), lambda message: None, "has no parameter 'user'"),
        (declared("a@x"), lambda message, user: None, "needs 'user'"),
    ],
)
def test_what_cannot_be_compiled_says_where(
    route: DeclaredRoute, handler: Callable[..., Any], problem: str
) -> None:
    with pytest.raises(RouteError, match=problem) as refused:
        route.compile(Handler(handler), {})
    assert (refused.value.file, refused.value.line) == ("there.py", 7)
