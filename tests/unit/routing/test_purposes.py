"""lamson.routing.purposes: a route with a signed capture matches what was signed, and nothing else.

Asked of whole routers: it is they that Postfix's questions are answered by.
"""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING

import pytest

from lamson.errors import LamsonError, PurposeError, RouteError
from lamson.routing.router import Momentary
from lamson.routing.signing import Signed, Signer

if TYPE_CHECKING:
    from lamson.routing.router import Router
    from tests.unit.conftest import Collect

DAY = 86400.0
LETTERS = bytes(b"abcdefghijklmnopqrstuvwxyz234567"[octet % 32] for octet in range(256))
LIST = """
SUBSCRIBE = Signed("subscribe", days=3, once=True)

@route("(user)-subscribe@(host)")
def START(message, user, host): ...

@route("(user)-confirm-(token)@(host)", token=SUBSCRIBE)
def CONFIRMING(message, user, host, token): ...

@route_like(CONFIRMING)
def POSTING(message, user, host, token): ...

@stateless
@route("(user)-reply-(thread)@(host)", thread=Signed("thread"))
@route("(user)-reply-(anything)@(host)", anything="[a-z2-7]+")
def REPLY(message, user, host, thread="", anything=""): ...
"""


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def router(collect: Collect, clock: Clock) -> Router:
    return collect(LIST, signer=Signer(lambda: (b"k" * 32,), clock=clock))


def names(router: Router, address: str) -> list[str]:
    return [match.handler.name for match in router.match(address)]


def test_a_signed_token_matches_and_the_handler_gets_its_payload(router: Router) -> None:
    token, said = router.purposes.sign("subscribe", "zed-17")
    for local in (f"users-confirm-{token}", f"USERS-Confirm-{token.upper()}"):
        first, second = router.match(f"{local}@test.com")
        assert (first.handler.name, second.handler.name) == ("CONFIRMING", "POSTING")
        assert first.captures["token"] == "zed-17"
        assert first.captures["user"].lower() == "users"
        assert first.tokens == first.redeems == (said,)
    assert not router.match(f"users-confirm-{token}@test.com", {said.digest})


def test_what_was_not_signed_for_this_matches_no_route(router: Router, clock: Clock) -> None:
    token, _ = router.purposes.sign("subscribe", "zed")
    other, _ = router.purposes.sign("thread", "zed")
    changed = token[:5] + ("y" if token[5] == "x" else "x") + token[6:]
    bad = (token[:-1], token[1:], token + "a", other, changed, "")
    for one in bad:
        assert router.match(f"users-confirm-{one}@test.com") == (), one
    assert names(router, f"users-confirm-{token}@test.com")
    for elsewhere in (f"users-subscribe-{token}@test.com", f"users-confirm-{token}@no.example"):
        assert router.match(elsewhere) == ()
    clock.now += 3 * DAY
    assert names(router, f"users-confirm-{token}@test.com"), "for so long, at the least"
    clock.now += 3600
    assert router.match(f"users-confirm-{token}@test.com") == ()


def test_the_next_route_of_the_same_function_has_what_was_forged(router: Router) -> None:
    token, said = router.purposes.sign("thread", "42")
    (match,) = router.match(f"users-reply-{token}@test.com")
    assert (match.captures["thread"], match.redeems) == ("42", ())
    assert match.tokens == (said,)
    (match,) = router.match(f"users-reply-{token[::-1]}@test.com")
    assert match.captures["anything"] == token[::-1]
    assert not match.tokens


def test_other_addresses_are_what_they_are_without(router: Router) -> None:
    found = router.match("users-subscribe@test.com")
    assert [match.handler.name for match in found] == ["START"]
    assert not isinstance(found, Momentary)
    token, _ = router.purposes.sign("subscribe")
    for local in (f"users-confirm-{token}", "users-confirm-" + "a" * 30):
        assert isinstance(router.match(f"{local}@test.com"), Momentary), "not for a cache to keep"


def test_the_days_may_be_other_ones_for_a_token(router: Router, clock: Clock) -> None:
    soon, said = router.purposes.sign("subscribe", days=0.5)
    assert clock.now + DAY / 2 <= said.expires <= clock.now + DAY / 2 + 3600
    clock.now += DAY
    assert not router.match(f"users-confirm-{soon}@test.com")


def test_purposes_that_nobody_declares_are_told_with_those_that_are(router: Router) -> None:
    with pytest.raises(PurposeError, match=r"Signed\('subscrib'\); .*: 'subscribe', 'thread'"):
        router.purposes.sign("subscrib")
    assert issubclass(PurposeError, LookupError)
    assert issubclass(PurposeError, LamsonError)


def test_without_a_key_nothing_verifies_and_nothing_is_signed(
    collect: Collect, router: Router
) -> None:
    token, _ = router.purposes.sign("subscribe", "zed")
    other = collect(LIST)
    assert not other.match(f"users-confirm-{token}@test.com")
    with pytest.raises(ValueError, match="has no key"):
        other.purposes.sign("subscribe", "zed")


@pytest.mark.parametrize("other", ['Signed("a", days=3)', 'Signed("a", days=2, once=True)'])
def test_one_purpose_is_the_same_everywhere(collect: Collect, other: str) -> None:
    with pytest.raises(RouteError, match=r"does not agree with .* in .*one\.py:3: one") as refused:
        collect(
            f"""
            @stateless
            @route("(a)@x", a=Signed("a", days=2))
            @route("(b)-b@x", b={other})
            def HANDLE(message, a="", b=""): ...
            """
        )
    assert (refused.value.line, refused.value.file.endswith("one.py")) == (4, True)
    assert refused.value.exit_code == 78


def test_no_route_takes_our_own_tokens(collect: Collect) -> None:
    with pytest.raises(RouteError, match="Lamson's own"):
        collect(
            """
            @stateless
            @route("(a)@x", a=Signed("lamson bounce"))
            def HANDLE(message, a): ...
            """
        )


def test_a_capture_that_took_no_part_proves_nothing(collect: Collect) -> None:
    router = collect(
        """
        @route("(user)-?(token)?@(host)", token=Signed("a"))
        def START(message, user, host, token): ...
        """,
        signer=Signer(lambda: (b"k",)),
    )
    assert not router.match("users@test.com")
    token, _ = router.purposes.sign("a", "x")
    assert router.match(f"users-{token}@test.com")


def test_states_and_the_error_state_get_the_same(collect: Collect) -> None:
    source = f"{LIST}\ndef ERROR(message, user, token=''): ...\n"
    router = collect(source, signer=Signer(lambda: (b"k",)))
    token, said = router.purposes.sign("subscribe", "zed")
    found = router.match(f"users-confirm-{token}@test.com")
    assert [match.handler.name for match in found] == ["CONFIRMING", "POSTING", "ERROR"]
    assert {match.captures["token"] for match in found} == {"zed"}
    assert {match.redeems for match in found} == {(said,)}


def test_only_the_operator_is_told_why(router: Router) -> None:
    token, _ = router.purposes.sign("subscribe", "zed")
    why = [one.why_not for one in router.explain(f"u-confirm-{token[::-1]}@test.com")]
    assert why[1:3] == ["token: forged or expired"] * 2
    found = router.explain(f"u-confirm-{token}@test.com")[1]
    assert found.captures == {"user": "u", "token": "zed", "host": "test.com"}


def test_letters_beyond_ascii(collect: Collect) -> None:
    router = collect(
        """
        @route("(who)-(token)@(host)", who=".+", token=Signed("a"))
        def START(message, who, host, token): ...
        """,
        signer=Signer(lambda: (b"k",)),
    )
    token, _ = router.purposes.sign("a", "größe")
    (match,) = router.match(f"jürgen-{token}@test.com")
    assert match.captures == {"who": "jürgen", "token": "größe", "host": "test.com"}
    # In the place of no k and no i, of which the first two are other cases.
    before, _, behind = re.split("([^ki])", token, maxsplit=1)
    for odd in "\u212a\u0131\uff41\xe9":
        assert not router.match(f"jürgen-{before}{odd}{behind}@test.com")


def test_of_many_random_tokens_none_is_taken(router: Router) -> None:
    """A million: most are read alone, which is what decides; some in whole addresses."""
    signer = Signer(lambda: (b"k" * 32,), clock=lambda: 0.0)
    once, often = Signed("subscribe", days=3, once=True), Signed("thread")
    letters = secrets.token_bytes(40_000_000).translate(LETTERS).decode()
    tokens = [letters[at : at + 40] for at in range(0, len(letters), 40)]
    taken = [one for one in tokens[::2] if signer.read(once, one)]
    taken += [one for one in tokens[1::2] if signer.read(often, one)]
    assert taken == []
    for token in tokens[:2000]:
        assert not router.match(f"users-confirm-{token}@test.com")
