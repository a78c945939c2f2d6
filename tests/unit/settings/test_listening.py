"""A server of ours, as Postfix writes where it is."""

from __future__ import annotations

import pytest

from lamson.settings import Lmtp, Milter


@pytest.mark.parametrize(
    ("listen", "endpoint"),
    [
        ("127.0.0.1:8825", "inet:127.0.0.1:8825"),
        ("[::1]:8825", "inet:[::1]:8825"),
        ("unix:/run/milter", "unix:/run/milter"),
    ],
)
def test_our_endpoint(listen: str, endpoint: str) -> None:
    assert Milter(listen, check_recipients=True).endpoint() == endpoint


def test_a_next_hop_is_in_brackets_and_never_every_interface() -> None:
    assert Lmtp("0.0.0.0:8823").endpoint(bracketed=True) == "inet:[127.0.0.1]:8823"
    assert Lmtp("mx.example.com:8823").endpoint(bracketed=True) == "inet:[mx.example.com]:8823"
