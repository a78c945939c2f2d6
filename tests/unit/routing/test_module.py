"""Handler modules: what is read from them, and one clear line for each that cannot be used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lamson.errors import RouteError

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
