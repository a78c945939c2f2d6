"""``host:port``: read, written, and what it says about who reaches a server there."""

from __future__ import annotations

import pytest

from lamson.net.endpoint import (
    from_here,
    is_every_interface,
    is_loopback,
    join_host_port,
    split_host_port,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:8823", ("127.0.0.1", 8823)),
        ("[::1]:25", ("::1", 25)),
        ("[fe80::1%eth0]:25", ("fe80::1%eth0", 25)),
        ("mail.example.com:587", ("mail.example.com", 587)),
        ("localhost:0", ("localhost", 0)),
    ],
)
def test_host_and_port(text: str, expected: tuple[str, int]) -> None:
    assert split_host_port(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "8823", ":8823", "host", "host:", "host:x", "host:65536", "::1:25", "a b:1", "a/b:1"],
)
def test_not_a_host_and_port(text: str) -> None:
    with pytest.raises(ValueError, match="expected host:port"):
        split_host_port(text)


@pytest.mark.parametrize("text", ["127.0.0.1:8823", "[::1]:25", "mail.example.com:587"])
def test_what_was_read_is_written_again(text: str) -> None:
    assert join_host_port(*split_host_port(text)) == text


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.0.1", True),
        ("::1", True),
        ("LocalHost", True),
        ("127.example.com", False),
        ("192.0.2.1", False),
    ],
)
def test_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("0.0.0.0", "127.0.0.1"),
        ("0", "127.0.0.1"),
        ("::", "::1"),
        ("::ffff:0.0.0.0", "::1"),
    ],
)
def test_every_interface_is_reached_by_loopback(host: str, expected: str) -> None:
    assert is_every_interface(host)
    assert from_here(host) == expected


@pytest.mark.parametrize("host", ["127.0.0.1", "192.0.2.1", "2001:db8::1", "mail.example.com"])
def test_one_interface_is_reached_by_its_address(host: str) -> None:
    assert not is_every_interface(host)
    assert from_here(host) == host
