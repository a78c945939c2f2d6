"""lamson_milter.decision.paths: the address is the one that Postfix reads in what was written."""

from __future__ import annotations

import pytest

from lamson_milter.decision.paths import parameters_of, read_address


@pytest.mark.parametrize(
    ("given", "read", "address"),
    [
        ("<Zed@TEST.com>", "zed@test.com", "Zed@test.com"),
        ("<zed(a comment)@test.com>", "zed@test.com", "zed@test.com"),
        ("<test.com!zed>", "zed@test.com", "zed@test.com"),
        ("<Gr\u00fc\u00dfe@test.com>", "gr\u00fcsse@test.com", "Gr\u00fc\u00dfe@test.com"),
        ("no address", "", "no address"),
    ],
)
def test_addresses(given: str, read: str, address: str) -> None:
    assert read_address(given, read) == address


def test_the_null_path_is_a_senders() -> None:
    assert read_address("<>", "", null=True) == ""


def test_parameters() -> None:
    assert parameters_of(["size=100", "SMTPUTF8"]) == {"SIZE": "100", "SMTPUTF8": ""}
