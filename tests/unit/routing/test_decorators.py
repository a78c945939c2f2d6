"""The decorators: they note, in source order, and change nothing else."""

from __future__ import annotations

import pytest

from lamson.errors import RouteError
from lamson.routing.declaration import HANDLERS
from lamson.routing.decorators import (
    route,
    route_like,
    spam_filter,
    state_key_generator,
    stateless,
)


def test_routes_stand_as_in_the_source() -> None:
    @route("first")
    @route("second", engine="re", token="[0-9]+")
    def handler(message: object) -> str:
        return "called"

    assert handler("m") == "called"
    declared = HANDLERS.of(handler)
    assert declared is not None
    assert [item.format for item in declared.routes] == ["first", "second"]
    assert [item.engine for item in declared.routes] == ["re2", "re"]
    assert declared.routes[1].captures == {"token": "[0-9]+"}
    assert {item.file for item in declared.routes} == {__file__}
    first = handler.__code__.co_firstlineno
    assert [item.line for item in declared.routes] == [first, first + 1]


def test_a_capture_may_be_called_format() -> None:
    @route("(format)", format="a|b")
    def handler(message: object) -> None: ...

    declared = HANDLERS.of(handler)
    assert declared is not None
    assert declared.routes[0].captures == {"format": "a|b"}


def test_route_like_copies_the_routes_and_names_its_own_line() -> None:
    @route("first")
    @route("second")
    def model(message: object) -> None: ...

    @route("own")
    @route_like(model)
    @stateless
    def copy(message: object) -> None: ...

    declared, original = HANDLERS.of(copy), HANDLERS.of(model)
    assert declared is not None
    assert original is not None
    assert [item.format for item in declared.routes] == ["own", "first", "second"]
    assert declared.routes[1].line == declared.routes[2].line == copy.__code__.co_firstlineno + 1
    assert declared.is_stateless
    assert not original.is_stateless
    assert len(original.routes) == 2


def test_the_order_of_stateless_and_route_makes_no_difference() -> None:
    @stateless
    @route("a")
    def above(message: object) -> None: ...

    @route("a")
    @stateless
    def below(message: object) -> None: ...

    for handler in (above, below):
        declared = HANDLERS.of(handler)
        assert declared is not None
        assert declared.is_stateless
        assert len(declared.routes) == 1


def test_state_key_generator() -> None:
    @state_key_generator
    def key(module: str, message: object) -> str:
        return module

    declared = HANDLERS.of(key)
    assert declared is not None
    assert declared.is_state_key_generator


def test_wrong_use() -> None:
    def unrouted(message: object) -> None: ...

    with pytest.raises(RouteError, match=r"@route_like\(unrouted\).*no route") as refused:
        route_like(unrouted)
    assert refused.value.file == __file__
    with pytest.raises(RouteError, match="@route needs a format"):
        route(unrouted)  # type: ignore[arg-type]
    with pytest.raises(RouteError, match="@spam_filter needs parentheses"):
        spam_filter(unrouted)  # type: ignore[arg-type]
    with pytest.raises(RouteError, match="is no function"):
        route("a@x")(str)
