"""Handler modules: what is read from them, and one clear line for each that cannot be used."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from lamson.errors import RouteError
from lamson.routing.pattern import Pattern
from lamson.routing.router import Momentary

if TYPE_CHECKING:
    from tests.unit.conftest import Collect


def test_a_wrapped_function_is_still_a_handler(collect: Collect) -> None:
    router = collect(
        """
        import functools
        def twice(function):
            @functools.wraps(function)
            def wrapper(*args, **kw):
                return [function(*args, **kw)] * 2
            return wrapper

        @twice
        @route("(user)@(host)")
        def START(message, user, **others):
            return user
        """
    )
    (match,) = router.match("zed@test.com")
    assert match.handler.call("m", match.captures, None, None) == ["zed", "zed"]


GOOD = '@route("(user)@(host)")\ndef START(message, user, host): ...\n'


@pytest.mark.parametrize(
    ("line", "source", "message"),
    [
        (0, "x = 1", "module one has no route"),
        (2, "import nothing_of_that_name", "module one cannot be imported: ModuleNotFoundError"),
        (3, "x = 1\n1 / 0", "ZeroDivisionError: division by zero"),
        (2, "raise SystemExit(3)", "module one cannot be imported: SystemExit"),
        (3, "x = 1\ndef (", "module one cannot be imported: SyntaxError"),
        (2, '@route("a@x")\nclass A: ...', "is no function"),
        (2, "@route\ndef START(message): ...", "@route needs a format"),
        (2, "def f(message): ...\n@route_like(f)\ndef g(message): ...", r"@route_like\(f\)"),
        (2, "@stateless\ndef LOG(message): ...", "LOG is @stateless but has no @route"),
        (4, GOOD + "@spam_filter()\ndef OUT(message): ...", "OUT is @spam_filter but has no"),
        (
            2,
            '@spam_filter(next_state="GONE")\n' + GOOD,
            "START has next_state=GONE, which is no state of its module",
        ),
        (
            2,
            '@stateless\n@spam_filter(next_state="START")\n@route("a@x")\ndef LOG(message): ...\n'
            + GOOD,
            "LOG is @stateless: @spam_filter has no next_state there",
        ),
        (4, GOOD + "@action\ndef OUT(message): ...", "OUT is @action but has no @route"),
        (2, GOOD.replace("def", "async def"), "START is async def"),
        (2, GOOD.replace("START", "POSTING"), "POSTING is a state, but module one has no state"),
        (4, f"{GOOD}@state_key_generator\ndef key(module): ...", "take .module, message."),
        (4, f"{GOOD}@state_key_generator\nasync def key(module, message): ...", "take .module, m"),
        (4, f"{GOOD}@state_key_generator\n@stateless\ndef key(a, b): ...", "and a handler"),
        (
            5,
            f"{GOOD}from lamson import per_thread\nstate_key_generator(per_thread)",
            r"does nothing without a name: state_key = state_key_generator\(per_thread\)",
        ),
        (5, f"{GOOD}class A:\n  @route('a@x')\n  def B(self, message): ...", "B is a method of A"),
        (
            5,
            f"{GOOD}class A:\n  @staticmethod\n  @stateless\n  @route('a@x')\n  def B(m): ...",
            "B is a method of A",
        ),
        (5, f"{GOOD}def a():\n  @route('a@x')\n  def B(m): ...\na()", "B is within a, where nob"),
        (4, f"{GOOD}@stateless\n@route('a@x')\ndef B(m): ...\nB = None", "B is not in the module"),
        (
            5,
            f"{GOOD}def wrap(f): return lambda m: f(m)\n@wrap\n@route('a@x')\ndef B(m): ...",
            "B is not in the module any more",
        ),
        (4, f"{GOOD}{GOOD}", "START is defined a second time, the first one is in line 3"),
        (4, f"{GOOD}def START(): ...", "START is defined a second time"),
        (4, f"{GOOD}async def ERROR(message): ...", "ERROR is async def"),
        (
            6,
            f"{GOOD}@state_key_generator\ndef a(m, n): ...\n@state_key_generator\ndef b(m, n): ...",
            "b is a second @state_key_generator; a is one already",
        ),
    ],
)
def test_modules_that_cannot_be_used(
    collect: Collect, line: int, source: str, message: str
) -> None:
    with pytest.raises(RouteError, match=message) as refused:
        collect(source)
    assert refused.value.exit_code == 78
    if line:
        assert refused.value.file.endswith("one.py")
        assert refused.value.line in (line, line + 1)  # a decorated def begins at its decorator
        assert f"one.py:{refused.value.line}: " in str(refused.value)


def test_functions_that_are_found_under_another_name_or_are_none_of_ours(collect: Collect) -> None:
    router = collect(
        """
        def timeout(seconds):
            return lambda function: str(seconds)

        @timeout(5)
        def fetch(): ...

        def make(format):
            @route(format)
            @stateless
            def made(message): ...
            return made

        ONE, TWO = make("one@x"), make("two@x")
        """
    )
    assert [route.format for route in router.routes] == ["one@x", "two@x"]


def test_a_state_key_generator_of_another_module_is_taken_over(collect: Collect) -> None:
    theirs = """
        def shared(module, message): return "all of " + module

        @state_key_generator
        def not_for_two(module, message): return "one"

        @route("(user)@one")
        def START(message, user): ...
    """
    router = collect(
        theirs,
        """
        from one import not_for_two, shared
        key = state_key_generator(shared)

        @route("(user)@two")
        def POSTING(message, user): ...
        """,
        """
        from one import not_for_two, START as other

        @route("(user)@three")
        def START(message, user): ...
        """,
    )
    keys = {}
    for place in ("one", "two", "three"):
        (match,) = router.match(f"zed@{place}")
        keys[place] = router.state_key(match, "m")
    assert keys == {"one": "one", "two": "all of two", "three": "three"}


def test_a_state_key_may_be_made_of_the_thread(collect: Collect) -> None:
    router = collect(
        """
        from lamson import Delivery, Thread, per_thread

        state_key = state_key_generator(per_thread)

        @route("(user)@one")
        def START(message, user): ...

        @route("log@one")
        @stateless
        def LOG(message): ...
        """,
        """
        from lamson import Thread

        @state_key_generator
        def key(module, message, thread: Thread): return thread.id + message

        @route("(user)@two")
        def START(message, user): ...
        """,
        """
        from lamson import Thread

        @route("(user)@three")
        def START(message, user, thread: Thread | None = None): ...

        @route("log@three")
        def LOG(message): ...
        """,
    )
    thread = SimpleNamespace(id="t1")
    one, log = router.match("log@one")
    assert router.state_key(one, "m", thread) == "one t1"
    (two,) = router.match("zed@two")
    assert router.state_key(two, "m", thread) == "t1m"
    (three,) = router.match("zed@three")
    assert router.state_key(three, "m") == "three"
    threaded = {one.handler, log.handler, two.handler, three.handler}
    assert router.threaded == threaded, "all of a module that keeps a state for each, and who asks"
    assert router.is_per_thread(two.handler)
    assert not router.is_per_thread(three.handler)


def test_a_shared_state_key_does_without_a_start(collect: Collect) -> None:
    router = collect(
        """
        @state_key_generator
        def shared(module, message): return "all"

        @route("(user)@(host)")
        def POSTING(message, user, host): ...
        """
    )
    (match,) = router.match("zed@test.com")
    assert router.next_state(match.handler, "POSTING") == "POSTING"
    with pytest.raises(RouteError, match=r"it has POSTING$"):
        router.next_state(match.handler, "START")


OUTCOME = "@outcome\ndef BOUNCED(outcome): ...\n"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (OUTCOME + OUTCOME.replace("BOUNCED", "FAILED"), "FAILED is a second @outcome; BOUNCED"),
        (OUTCOME.replace("\ndef", '\n@route("a@x")\ndef'), "BOUNCED is @outcome and a handler"),
        (OUTCOME.replace("(outcome)", "(outcome, list_name)"), "nobody gives it 'list_name'"),
        (OUTCOME.replace("(outcome)", "()"), "BOUNCED takes no message"),
        (OUTCOME.replace("def", "async def"), "BOUNCED is async def"),
        (OUTCOME.replace("\ndef", "\n@state_key_generator\ndef"), "and a handler"),
    ],
)
def test_an_outcome_function_that_cannot_be_used(
    collect: Collect, source: str, message: str
) -> None:
    with pytest.raises(RouteError, match=message):
        collect(GOOD + source)


def test_an_outcome_function_is_no_state(collect: Collect) -> None:
    router = collect(GOOD + OUTCOME, OUTCOME)
    assert router.has_outcomes
    found = router.outcome("one")
    assert found is not None
    assert found.full_name == "one.BOUNCED"
    assert router.outcome("nowhere") is None
    assert [match.handler.name for match in router.match("zed@test.com")] == ["START"]
    with pytest.raises(RouteError, match="which is no state of its module"):
        router.next_state(found, "BOUNCED")


def test_a_reserved_address_captures_nothing(
    collect: Collect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So its pattern is not asked what: reports are told with no more work than mail."""
    router = collect("@route('list@x')\ndef START(message): ...\n")
    router.reserve("bounces+", lambda one: True, lambda message: "b")

    def never(pattern: Pattern, address: str) -> None:
        raise AssertionError("nobody asked for it")

    monkeypatch.setattr(Pattern, "match", never)
    (match,) = router.match("bounces+ok@x")
    assert match.captures == {}


def test_a_reserved_prefix_comes_before_all_routes(collect: Collect) -> None:
    router = collect(GOOD.replace("(user)", "[a-z+]+").replace("user, ", ""))
    router.reserve("bounces+", lambda one: one.startswith("bounces+ok"), lambda message: "b")
    router.reserve("probe+", lambda one: True, lambda message: "p")
    for address, expected in {
        "bounces+ok@test.com": "b",
        "probe+x@test.com": "p",
        "PROBE+x@test.com": "p",
        "bounces+no@test.com": None,
        "bounces@test.com": None,
    }.items():
        found = router.match(address)
        (match,) = found
        assert match.handler.function("m", **match.captures) == expected, address
        assert isinstance(found, Momentary) is ("+" in address), "a clock or a key may change"
    assert len(router.routes) == 1
