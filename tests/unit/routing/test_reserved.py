"""lamson.routing.reserved: addresses that only who has the key can make, and not for long."""

from __future__ import annotations

import pytest

from lamson.routing.reserved import LIFETIME, PREFIX, Reserved, Way, is_like_one

KEY = b"k" * 32
NOW = 1_700_000_000.0


def reserved(now: float = NOW, key: bytes | None = KEY) -> Reserved:
    return Reserved(lambda: key, clock=lambda: now)


def test_it_is_known_on_all_nodes_until_it_expires() -> None:
    token = reserved().token(Way.IN)
    address = reserved().address(token, "app.test")
    assert len(address.partition("@")[0]) <= 64
    for spelt in (address, address.upper(), address.replace("app.test", "APP.test")):
        assert reserved().read(spelt) == token
    assert reserved(NOW + LIFETIME - 1).takes(address)
    assert not reserved(NOW + LIFETIME).takes(address)


@pytest.mark.parametrize(
    "changed",
    [
        lambda one: one.replace("@app", "@lists"),
        lambda one: one.replace(PREFIX + "i", PREFIX + "o"),
        lambda one: one.replace("@", "a@"),
        lambda one: one[: len(PREFIX)] + "x" + one[len(PREFIX) + 1 :],
        lambda one: PREFIX + "@app.test",
        lambda one: PREFIX + "é" * 35 + "@app.test",
        lambda one: PREFIX + "\ud800@app.test",
        lambda one: one.partition("@")[0],
        lambda one: "x" + one,
    ],
)
def test_what_was_changed_is_none(changed: object) -> None:
    assert callable(changed)
    address = reserved().address(reserved().token(Way.IN), "app.test")
    assert not reserved().takes(changed(address))


def test_another_key_or_none() -> None:
    token = reserved().token(Way.OUT)
    address = reserved().address(token, "app.test")
    assert not reserved(key=b"another").takes(address)
    assert not reserved(key=None).takes(address)
    with pytest.raises(ValueError, match="no key"):
        reserved(key=None).address(token, "app.test")


def test_no_key_is_read_for_other_addresses() -> None:
    def never() -> bytes:
        raise AssertionError("nobody asked for it")

    assert not Reserved(never).takes("users@app.test")
    assert not is_like_one("lamson-probe@app.test")
