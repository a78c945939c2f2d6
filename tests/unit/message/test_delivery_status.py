"""The fields of reports: groups, addresses, texts."""

from __future__ import annotations

import pytest

from lamson.message.delivery_status import address_of, groups, text_of


def test_groups() -> None:
    text = (
        "A: 1\nB: 2\n  folded\n\n\nA: 3\nA: 4\nnot a field\n \nFinal-Recipient: x\n"
        "Final-Recipient: y\n"
    )
    assert list(groups(text)) == [
        {"a": "1", "b": "2 folded"},
        {"a": "3"},
        {"final-recipient": "x"},
        {"final-recipient": "y"},
    ]
    assert list(groups("")) == []


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("rfc822; joe@example.com", "joe@example.com"),
        ("RFC822;<joe@example.com>", "joe@example.com"),
        ("joe@example.com", "joe@example.com"),
        ('rfc822; "joe b"@example.com (Joe)', '"joe b"@example.com'),
        ("utf-8; j\\x{FC}@example.com", "jü@example.com"),
        ("utf-8; \\x{D800}\\x{110000}@example.com", "\ufffd\ufffd@example.com"),
        ("rfc822; joe", ""),
        ("", ""),
    ],
)
def test_addresses(value: str, address: str) -> None:
    assert address_of(value) == address


def test_texts() -> None:
    assert text_of("smtp; 550  no") == "550 no"
    assert text_of("550 (a); b") == "550 (a); b"
