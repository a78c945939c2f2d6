"""The Router: who gets an address, in which order, and what states there are."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from lamson.errors import RouteError
from lamson.routing.router import Router

if TYPE_CHECKING:
    from tests.unit.conftest import Collect

LIST = """
@route("(user)-subscribe@(host)")
@route("(user)-join@(host)")
def START(message, user, host):
    return CONFIRMING

@route("(user)-confirm-(token)@(host)", token="[a-z0-9]+")
def CONFIRMING(message, user, host, token): ...

@stateless
@route_like(START)
def LOG(message, **captures): ...

"""

WITH_ERROR = f"""{LIST}
def ERROR(message, user, token=""):
    return START
"""

EVERYTHING = """
@stateless
@route(".+-(?:join|leave)@.+")
@route("(all)", all=".+")
def ARCHIVE(message, all=""): ...
"""


def names(router: Router, address: str) -> list[str]:
    return [str(match.handler) for match in router.match(address)]


def test_matches_in_definition_order_once_per_handler(collect: Collect) -> None:
    router = collect(EVERYTHING, LIST)
    assert names(router, "Zed-Join@test.com") == ["one.ARCHIVE", "two.START", "two.LOG"]
    assert names(router, "zed-confirm-1@localhost") == ["one.ARCHIVE", "two.CONFIRMING"]
    assert names(router, "else@example.org") == ["one.ARCHIVE"]
    assert router.modules == ("one", "two")
    assert collect(LIST, EVERYTHING).match("zed-join@test.com")[2].handler.name == "ARCHIVE"


def test_what_is_not_routed(collect: Collect) -> None:
    router = collect(LIST)
    for address in ("zed@test.com", "", "\udc80", "\0lamson\0", "zed-join@test.com\n"):
        assert router.match(address) == ()
    assert Router.collect([], {}).match("zed@test.com") == ()


def test_a_match_carries_route_and_captures(collect: Collect) -> None:
    router = collect(LIST)
    (match,) = router.match("Zed-confirm-a1@test.com")
    assert match.captures == {"user": "Zed", "token": "a1", "host": "test.com"}
    assert match.captures is match.captures
    assert match.route is router.routes[2]
    assert match.handler is match.route.handler
    assert (match.route.format, match.route.line) == ("(user)-confirm-(token)@(host)", 7)
    assert repr(match).startswith("<Match one.CONFIRMING {'user': 'Zed'")


@pytest.mark.parametrize(
    ("line", "source", "message"),
    [
        (2, '@route("(usr)@(host)")\ndef START(message, usr, host): ...', r"did you mean \(user\)"),
        (2, '@route("(user@(host)")\ndef START(message, user, host): ...', "missing "),
        (3, '@stateless\n@route("(?!x)a")\ndef START(message): ...', 'engine="re"'),
        (2, '@route("a@x", tokn="1")\ndef START(message): ...', r"'a@x' has no capture \(tokn\)"),
        (2, '@route("(user)@x")\ndef START(message): ...', r"START has no parameter 'user'"),
        (2, '@route("a@x")\ndef START(message, user): ...', "START needs 'user'"),
        (
            5,
            '@route("(user)@x")\ndef START(message, user): ...\n@stateless\n@route_like(START)\n'
            "def LOG(message): ...",
            "LOG has no parameter 'user'",
        ),
        (
            4,
            '@route("(user)@x")\ndef START(message, user): ...\ndef ERROR(message, host): ...',
            "ERROR needs 'host', which the route does not capture",
        ),
    ],
)
def test_routes_that_cannot_be_used(collect: Collect, line: int, source: str, message: str) -> None:
    with pytest.raises(RouteError, match=message) as refused:
        collect(source)
    assert refused.value.exit_code == 78
    assert refused.value.file.endswith("one.py")
    assert refused.value.line == line


def test_captures_with_names_that_templates_need_themselves(collect: Collect) -> None:
    source = '@stateless\n@route("(user)@x")\n@route("(local)@x", local=".+")\n'
    router = collect(source + "def LOG(message, **captures): ...\n")
    router.refuse_captures(["user_", "host"])
    with pytest.raises(RouteError, match=r"\(local\) cannot be the name of a capture") as refused:
        router.refuse_captures({"local", "str"})
    assert refused.value.exit_code == 78
    assert refused.value.file.endswith("one.py")
    assert refused.value.line == 4


def test_look_around_where_the_route_says_so(collect: Collect) -> None:
    router = collect(
        '@route("(?!root)(user)@(host)", engine="re")\n'
        "def START(message, user, host): ...\n"
        '@stateless\n@route("(user)@(host)")\n'
        "def LOG(message, user, host): ...\n"
    )
    assert names(router, "zed@test.com") == ["one.START", "one.LOG"]
    assert names(router, "root@test.com") == ["one.LOG"]


def test_explain_tells_of_every_route(collect: Collect) -> None:
    router = collect(LIST)
    found = router.explain("zed-join@example.org")
    assert [item.route for item in found] == list(router.routes)
    assert found[0].captures is None
    assert found[0].why_not == "'-join@example.org' does not match -subscribe@"
    assert found[1].why_not == r"host: 'example.org' does not match (localhost|test\.com)"
    (joined,) = (item for item in router.explain("zed-join@test.com")[:3] if item.captures)
    assert joined.captures == {"user": "zed", "host": "test.com"}
    assert joined.why_not == ""


def test_an_error_state_without_routes_has_those_of_all_states(collect: Collect) -> None:
    router = collect(EVERYTHING, WITH_ERROR)
    expected = ["one.ARCHIVE", "two.START", "two.LOG", "two.ERROR"]
    assert names(router, "zed-join@test.com") == expected
    assert names(router, "zed-confirm-1@localhost")[-1] == "two.ERROR"
    assert names(router, "else@example.org") == ["one.ARCHIVE"]
    match = router.match("zed-join@test.com")[-1]
    returned = match.handler.call("m", match.captures, None, None)
    assert router.next_state(match.handler, returned) == "START"


def test_an_error_state_with_a_route_has_only_that(collect: Collect) -> None:
    source = LIST + '@route("(user)-error@(host)")\ndef ERROR(message, user, host): ...\n'
    router = collect(source)
    assert names(router, "zed-error@test.com") == ["one.ERROR"]
    assert names(router, "zed-join@test.com") == ["one.START", "one.LOG"]


def test_states(collect: Collect) -> None:
    router = collect(WITH_ERROR, EVERYTHING)
    for address, states in (
        ("zed-join@test.com", "START, CONFIRMING, ERROR"),
        ("all@example.org", "none"),
    ):
        handler = next(iter(router.match(address))).handler
        with pytest.raises(RouteError, match=f"no state of its module; it has {states}$"):
            router.next_state(handler, "NOWHERE")
    error = router.error_state("one")
    assert error is not None
    assert error.name == "ERROR"
    assert router.error_state("two") is None


def test_the_next_state_is_what_the_handler_returned(collect: Collect) -> None:
    router = collect(WITH_ERROR)
    handler = router.routes[0].handler
    assert router.next_state(handler, None) is None
    assert router.next_state(handler, handler.function("m", "zed", "x")) == "CONFIRMING"
    assert router.next_state(handler, "START") == "START"
    assert router.next_state(handler, "ERROR") == "ERROR"


def test_a_next_state_that_is_none(collect: Collect) -> None:
    router = collect(LIST, LIST)
    one, two = router.routes[0].handler, router.routes[5].handler
    assert (one.module, two.module) == ("one", "two")
    log = next(route.handler for route in router.routes if route.handler.name == "LOG")
    for returned in ("NOPE", "", 7, True, len, two.function, log.function, "LOG"):
        with pytest.raises(RouteError, match=r"one\.START returned .*, which is no state") as wrong:
            router.next_state(one, returned)
        assert (wrong.value.file, wrong.value.line) == (one.file, one.line)


def test_the_state_key_is_the_module_or_what_it_generates(collect: Collect) -> None:
    router = collect(
        LIST,
        """
        @route("(user)@(host)")
        def START(message, user, host): ...

        @state_key_generator
        def per_message(module, message):
            return message and f"{module}:{message}"
        """,
    )
    (one,) = itertools.islice(router.match("zed-join@test.com"), 1)
    (two,) = router.match("zed@test.com")
    assert router.state_key(one, "m") == "one"
    assert router.state_key(two, "m") == "two:m"
    with pytest.raises(RouteError, match="per_message returned None: a state key is a text"):
        router.state_key(two, None)
