"""Handlers: which parameters get what, and functions that cannot be handlers."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal, NewType

import pytest
from sqlalchemy.orm import Session

from lamson.delivery.context import Delivery
from lamson.delivery.thread import Thread
from lamson.errors import RouteError
from lamson.routing.handler import DELIVERY, SESSION, THREAD, Handler

if TYPE_CHECKING:
    from nowhere import Missing  # type: ignore[import-not-found]

    from lamson.delivery import context as renamed


def plain(message, user, host="here"):  # type: ignore[no-untyped-def]
    return message, user, host


def both(message: object, d: Delivery, db: Session, *args: object, user: str) -> Any:
    return message, d, db, user


def optional(message: object, db: Session | None = None, **captures: str) -> Any:
    return message, db, captures


def half_resolved(message: object, db: "Session", d: "renamed.Delivery", other: "Missing") -> Any:
    return message, db, d, other


def threaded(message: object, talk: Thread) -> Any:
    return message, talk


@functools.wraps(both)
def wrapped(*args: Any, **kw: Any) -> Any:
    return both(*args, **kw)


@pytest.mark.parametrize(
    ("function", "injected", "required", "optional_ones", "takes_any"),
    [
        (plain, {}, ("user",), ("host",), False),
        (both, {"d": DELIVERY, "db": SESSION}, ("user",), (), False),
        (wrapped, {"d": DELIVERY, "db": SESSION}, ("user",), (), False),
        (optional, {"db": SESSION}, (), (), True),
        (threaded, {"talk": THREAD}, (), (), False),
        (half_resolved, {"db": SESSION, "d": DELIVERY}, ("other",), (), False),
    ],
)
def test_parameters(
    function: Callable[..., Any],
    injected: dict[str, str],
    required: tuple[str, ...],
    optional_ones: tuple[str, ...],
    takes_any: bool,
) -> None:
    handler = Handler(function)
    assert handler.injected == injected
    assert handler.required == required
    assert handler.optional == optional_ones
    assert handler.takes_any is takes_any
    assert handler.needs_session is (SESSION in injected.values())


def test_other_injectables_can_be_named() -> None:
    handler = Handler(plain, injectable={"builtins.str": SESSION})
    assert handler.injected == {}
    assert Handler(both, injectable={"builtins.str": SESSION}).injected == {"user": SESSION}


def test_a_call_gives_each_parameter_its_own() -> None:
    assert Handler(plain).call("m", {"user": "zed"}, "d", "s") == ("m", "zed", "here")
    assert Handler(both).call("m", {"user": "zed"}, "d", "s") == ("m", "d", "s", "zed")
    assert Handler(wrapped).call("m", {"user": "zed"}, "d", "s") == ("m", "d", "s", "zed")
    assert Handler(optional).call("m", {"a": "b"}, "d", "s") == ("m", "s", {"a": "b"})


def test_a_call_leaves_the_captures_alone() -> None:
    captures = {"user": "zed"}
    Handler(both).call("m", captures, "d", "s")
    assert captures == {"user": "zed"}


def test_a_lenient_handler_is_spared_what_it_has_no_parameter_for() -> None:
    captures = {"user": "zed", "token": "1"}
    lenient = Handler(plain, lenient=True)
    lenient.check_captures(captures, file="", line=0)
    assert lenient.call("m", captures, None, None) == ("m", "zed", "here")
    assert Handler(optional, lenient=True).call("m", captures, None, None) == ("m", None, captures)
    with pytest.raises(RouteError, match="plain needs 'user'"):
        lenient.check_captures(["token"], file="", line=0)


def test_a_thread_stands_in_the_place_of_the_capture_that_it_was_found_by() -> None:
    handler = Handler(threaded)
    handler.check_captures(["talk"], file="", line=0, threads=["talk"])
    assert handler.call("m", {"talk": "t1"}, None, None, thread="a thread") == ("m", "a thread")


@pytest.mark.parametrize(
    ("function", "names", "message"),
    [
        (plain, ["user", "token"], r"captures \(token\), but plain has no parameter 'token'"),
        (plain, ["host"], "plain needs 'user', which the route does not capture"),
        (plain, ["user", "message"], "parameter 'message' is not for a capture"),
        (both, ["user", "db"], "parameter 'db' is not for a capture"),
        (threaded, ["talk"], "parameter 'talk' is not for a capture"),
    ],
)
def test_captures_that_do_not_fit(
    function: Callable[..., Any], names: list[str], message: str
) -> None:
    with pytest.raises(RouteError, match=message) as refused:
        Handler(function).check_captures(names, file="list.py", line=7)
    assert (refused.value.file, refused.value.line) == ("list.py", 7)


Id = NewType("Id", str)


def annotated(
    message: object,
    a: str,
    b: str | None,
    c: "Any",
    d: Id,
    e: Annotated[str, 1],
    f: Literal["x"],
    g: "Unknown",  # type: ignore[name-defined] # noqa: F821
) -> None: ...


def counted(message: object, a: int) -> None: ...


def listed(message: object, a: list[str] | bytes) -> None: ...


def test_what_a_capture_fills_is_annotated_as_a_text() -> None:
    Handler(annotated).check_captures("abcdefg", file="list.py", line=7)
    for function, shown in ((counted, "int"), (listed, r"list\[str\] | bytes")):
        with pytest.raises(RouteError, match=f"parameter 'a' is annotated {shown}, and"):
            Handler(function).check_captures(["a"], file="list.py", line=7)


async def asynchronous(message: object) -> None: ...


def generator(message: object) -> Any:
    yield message


def nothing() -> None: ...


def keyword(*, message: object) -> None: ...


def database(db: Session) -> None: ...


def positional(message: object, user: str, /) -> None: ...


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (asynchronous, "is async def; handlers are plain def"),
        (generator, "has a yield"),
        (nothing, "takes no message"),
        (keyword, "takes no message"),
        (database, "has 'db' first: the first parameter is the message"),
        (positional, "has 'user' before the /"),
    ],
)
def test_functions_that_cannot_be_handlers(function: Callable[..., Any], message: str) -> None:
    with pytest.raises(RouteError, match=message) as refused:
        Handler(function)
    assert refused.value.file == __file__
    assert refused.value.line == function.__code__.co_firstlineno
