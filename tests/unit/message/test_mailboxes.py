"""The mailboxes in an address field that we write."""

from __future__ import annotations

import email
from email import policy

import pytest

from lamson.errors import AddressError
from lamson.message.mailboxes import Mailbox, of, parse, parse_one


@pytest.mark.parametrize(
    ("value", "display", "address", "text"),
    [
        ("zed@Example.COM", "", "zed@example.com", "zed@example.com"),
        ("<zed@example.com>", "", "zed@example.com", "zed@example.com"),
        ("Zed Shaw <z@e.com>", "Zed Shaw", "z@e.com", "Zed Shaw <z@e.com>"),
        ('"Shaw, Zed" <z@e.com>', "Shaw, Zed", "z@e.com", '"Shaw, Zed" <z@e.com>'),
        ('"Z \\"x\\" \\\\" <z@e.com>', 'Z "x" \\', "z@e.com", '"Z \\"x\\" \\\\" <z@e.com>'),
        ("Zed A. <z@e.com>", "Zed A.", "z@e.com", '"Zed A." <z@e.com>'),
        ("Zoë <zoë@e.com>", "Zoë", "zoë@e.com", '"Zoë" <zoë@e.com>'),
        ('"a b"@e.com', "", '"a b"@e.com', '"a b"@e.com'),
        ('"a<b"@e.com', "", '"a<b"@e.com', '"a<b"@e.com'),
        ('Zed <"a\\"<>b"@e.com>', "Zed", '"a\\"<>b"@e.com', 'Zed <"a\\"<>b"@e.com>'),
    ],
)
def test_one(value: str, display: str, address: str, text: str) -> None:
    mailbox = parse_one(value)
    assert mailbox == Mailbox(display, address)
    assert str(mailbox) == text
    assert parse_one(text) == mailbox


@pytest.mark.parametrize(
    "value",
    [
        "",
        "zed",
        "Zed <zed@example.com",
        "Zed <zed@example.com> x",
        'Zed "x <zed@example.com>',
        "a@example.com <b@example.com>, c@example.com",
        "x" * 201 + " <zed@example.com>",
    ],
)
def test_not_one(value: str) -> None:
    with pytest.raises(AddressError):
        parse_one(value)


def test_several() -> None:
    found = parse('a@example.com, "B, c" <b@example.com>,Joe <j@example.com>')
    assert [mailbox.address for mailbox in found] == [
        "a@example.com",
        "b@example.com",
        "j@example.com",
    ]
    assert parse("undisclosed-recipients:;") == ()


@pytest.mark.parametrize("value", ["", ",", "a@example.com,", ",a@example.com", 'a@b.com, "c'])
def test_not_several(value: str) -> None:
    with pytest.raises(AddressError):
        parse(value)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("piece", [",", '"', "\\", '"\\', "a", "<", " "])
def test_any_text_is_judged_in_linear_time(piece: str) -> None:
    with pytest.raises(AddressError):
        parse(piece * 100_000)


def test_encoded() -> None:
    mailbox = Mailbox("Zoë", "zed@example.com")
    assert mailbox.encoded(utf8=False) == "=?utf-8?q?Zo=C3=AB?= <zed@example.com>"
    assert mailbox.encoded(utf8=True) == '"Zoë" <zed@example.com>'
    assert Mailbox("=?x", "z@e.com").encoded(utf8=True) == "=?utf-8?b?PT94?= <z@e.com>"


@pytest.mark.parametrize(
    "name",
    [
        "evil@x.y, Bob",
        '"',
        "\\",
        "a<b@c.d>,",
        "=?utf-8?q?evil=40x=2Ey=2C?=",
        "Zoë, e@x.y",
        ";:",
        "(",
        "",
    ],
)
def test_a_name_never_becomes_an_address(name: str) -> None:
    mailbox = Mailbox(name, "real@y.example")
    assert parse(str(mailbox)) == (mailbox,)
    for utf8 in (False, True):
        field = f"To: {mailbox.encoded(utf8=utf8)}"
        (read,) = email.message_from_string(field, policy=policy.default)["To"].addresses
        assert (read.addr_spec, read.display_name) == ("real@y.example", name)


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("a\nb", "a@b.c"),
        ("a\0b", "a@b.c"),
        ("\ud800", "a@b.c"),
        ("x" * 201, "a@b.c"),
        ("", "a@b.c, d@e.f"),
        ("", "zed"),
        ("", "a@b.c\r\nBcc: d@e.f"),
        ("", "Zed <a@b.c>"),
    ],
)
def test_no_mailbox(name: str, address: str) -> None:
    with pytest.raises(AddressError):
        Mailbox(name, address)


def test_of() -> None:
    one, two = Mailbox("A, b", "a@b.c"), Mailbox("", "d@e.f")
    assert of(one) == (one,)
    assert of([one, "d@e.f"]) == (one, two)
    assert of("a@b.c, d@e.f") == (Mailbox("", "a@b.c"), two)
    with pytest.raises(AddressError):
        of([])
