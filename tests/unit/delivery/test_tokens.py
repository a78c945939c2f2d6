"""Which addresses have a secret in them."""

from __future__ import annotations

import pytest

from lamson.delivery.tokens import holds_token


@pytest.mark.parametrize(
    ("recipient", "captures", "is_secret"),
    [
        ("users@test.com", {"list_name": "users", "host": "test.com"}, False),
        ("users-bounces@test.com", {"list_name": "users"}, False),
        ("users@mx12345678.test.com", {"list_name": "users", "host": "mx12345678.test.com"}, False),
        ("zed.shaw@test.com", {"address": "zed.shaw"}, False),
        ("users-confirm-0123@test.com", {"list_name": "users", "token": "0123"}, True),
        ("ticket-7f3a9c@test.com", {"id": "7f3a9c"}, True),
        ("x-ABCDEFGHIJKLMNOPQRST@test.com", {"rest": "ABCDEFGHIJKLMNOPQRST"}, True),
        ("users-confirm-7f3a9c01@test.com", {"address": "users-confirm-7f3a9c01"}, True),
        ("users@test.com", {}, False),
    ],
)
def test_tokens(recipient: str, captures: dict[str, str], is_secret: bool) -> None:
    assert holds_token(recipient, captures) is is_secret
