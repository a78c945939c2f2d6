"""lamson.routing.signing: tokens that only who has a key can make, and that end."""

from __future__ import annotations

import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamson.routing.signing import MAX_PAYLOAD, PATTERN, Signed, Signer

NOW = 1_700_000_000.0
SUBSCRIBE = Signed("subscribe", days=3)
ONCE = Signed("confirm", days=3, once=True)


def signer(*keys: bytes, now: float = NOW) -> Signer:
    return Signer(lambda: keys or (b"k" * 32,), clock=lambda: now)


@given(st.text(max_size=6), st.sampled_from([SUBSCRIBE, ONCE]))
def test_what_was_signed_is_read(payload: str, signed: Signed) -> None:
    token = signer().sign(signed, payload)
    assert re.fullmatch(PATTERN, token)
    for spelt in (token, token.upper(), token.title()):
        read = signer().read(signed, spelt)
        assert read is not None
        assert read.payload == payload
        assert read == signer().read(signed, token)


def test_it_has_room_in_a_local_part() -> None:
    token = signer().sign(ONCE, "p" * 12)
    assert len(f"users-confirm-{token}") <= 64
    assert len(signer().sign(ONCE, "p" * MAX_PAYLOAD)) <= 64
    with pytest.raises(ValueError, match="a token takes 24: sign the id of a row"):
        signer().sign(SUBSCRIBE, "é" * 13)


def test_it_counts_for_its_days_and_not_an_hour_more() -> None:
    token = signer().sign(SUBSCRIBE, "zed")
    days = 3 * 86400
    assert signer(now=NOW + days).read(SUBSCRIBE, token)
    assert signer(now=NOW + days + 3600).read(SUBSCRIBE, token) is None


def test_it_is_for_one_purpose_and_one_way_of_counting() -> None:
    token = signer().sign(SUBSCRIBE, "zed-zed")
    assert signer().read(Signed("unsubscribe", days=3), token) is None
    assert signer().read(Signed("subscribe", days=3, once=True), token) is None
    assert signer().read(Signed("subscribe", days=9), token) is not None


def test_keys_are_changed_one_after_the_other() -> None:
    token = signer(b"old").sign(SUBSCRIBE, "zed")
    assert signer(b"new", b"old").read(SUBSCRIBE, token)
    assert signer(b"new").read(SUBSCRIBE, token) is None
    newer = signer(b"new", b"old").sign(SUBSCRIBE, "zed")
    assert signer(b"new").read(SUBSCRIBE, newer)
    nobody = Signer(lambda: ())
    assert nobody.read(SUBSCRIBE, token) is None
    with pytest.raises(ValueError, match="no key"):
        nobody.sign(SUBSCRIBE, "zed")


def test_one_that_counts_once_is_another_each_time() -> None:
    first, second = (signer().sign(ONCE, "zed") for _ in range(2))
    assert first != second
    read = [signer().read(ONCE, token) for token in (first, second)]
    assert [one.payload for one in read if one] == ["zed", "zed"]
    assert len({one.digest for one in read if one}) == 2


@given(st.data())
def test_what_was_changed_is_none(data: st.DataObject) -> None:
    token = signer().sign(SUBSCRIBE, "payload")
    at = data.draw(st.integers(0, len(token) - 1))
    letter = data.draw(st.sampled_from([one for one in "abcz2567189-é=" if one != token[at]]))
    assert signer().read(SUBSCRIBE, token[:at] + letter + token[at + 1 :]) is None
    assert signer().read(SUBSCRIBE, token[:at]) is None


@given(
    st.text(max_size=80) | st.binary(max_size=40).map(lambda one: base64.b32encode(one).decode())
)
def test_what_nobody_signed_is_none(token: str) -> None:
    for signed in (SUBSCRIBE, ONCE):
        assert signer().read(signed, token) is None


@pytest.mark.parametrize("days", [0, -1, 1e9, float("nan"), float("inf")])
def test_days_that_cannot_be(days: float) -> None:
    with pytest.raises(ValueError, match="days="):
        Signed("subscribe", days=days)
    with pytest.raises(ValueError, match="needs a purpose"):
        Signed("")
