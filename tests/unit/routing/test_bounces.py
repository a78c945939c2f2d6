"""lamson.routing.bounces: addresses that only who has the key can make, and not for ever."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamson.routing.bounces import DAYS, PREFIX, BounceAddresses
from lamson.routing.signing import Signed, Signer

KEY = b"k" * 32
NOW = 1_700_000_000.0
ID = "abcdefghijklmnop"


def bounces(now: float = NOW, key: bytes = KEY) -> BounceAddresses:
    return BounceAddresses(Signer(lambda: [key], clock=lambda: now))


def test_it_is_known_on_all_nodes_until_it_expires() -> None:
    address = bounces().address(ID, "app.test")
    assert len(address.partition("@")[0]) <= 64
    for spelt in (address, address.upper(), address.replace("@app.test", "@other.test")):
        assert bounces().read(spelt) == ID
    assert bounces(NOW + DAYS * 86400 - 1).takes(address)
    assert not bounces(NOW + DAYS * 86400 + 3600).takes(address)
    assert not bounces(key=b"another").takes(address)


def test_a_token_of_another_purpose_is_none() -> None:
    for purpose in ("subscribe", "bounce"):  # also where an application calls one of its own so
        other = Signer(lambda: [KEY], clock=lambda: NOW).sign(Signed(purpose, days=30), ID)
        assert not bounces().takes(f"{PREFIX}{other}@app.test")


@pytest.mark.hypothesis
@given(st.text(max_size=60))
def test_what_was_made_up_is_none(text: str) -> None:
    assert bounces().read(f"{PREFIX}{text}@app.test") is None
    assert bounces().read(text) is None


def test_without_a_key_none_is_made_or_known() -> None:
    keyless = BounceAddresses(Signer(list))
    with pytest.raises(ValueError, match="no key"):
        keyless.address(ID, "app.test")
    assert not keyless.takes(bounces().address(ID, "app.test"))
