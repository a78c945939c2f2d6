"""Addresses: what is taken, what is refused, and that one mailbox has one text."""

from __future__ import annotations

import pytest

from lamson.errors import AddressError
from lamson.smtp import address


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("<zed@example.com>", "zed@example.com"),
        ("<Zed@EXAMPLE.Com>", "Zed@example.com"),
        ("<a+b=c!d%e@x-y.z1>", "a+b=c!d%e@x-y.z1"),
        ("<under_score@host_name.example>", "under_score@host_name.example"),
        ('<"zed"@example.com>', "zed@example.com"),
        ('<"z\\ed"@example.com>', "zed@example.com"),
        ('<"zed shaw"@example.com>', '"zed shaw"@example.com'),
        ('<"a\\"b\\\\c"@example.com>', '"a\\"b\\\\c"@example.com'),
        ('<"a@b"@example.com>', '"a@b"@example.com'),
        ('<""@example.com>', '""@example.com'),
        ("<zed@[192.0.2.1]>", "zed@[192.0.2.1]"),
        ("<zed@[IPv6:2001:DB8::1]>", "zed@[ipv6:2001:db8::1]"),
        ("<@relay.example,@other.example:zed@example.com>", "zed@example.com"),
        ("<Postmaster>", "postmaster"),
    ],
)
def test_paths_in_canonical_form(path: str, expected: str) -> None:
    assert address.parse_path(path) == expected
    assert address.parse_path(f"<{expected}>") == expected


@pytest.mark.parametrize("local", [".zed", "zed.", "zed..shaw"])
def test_misplaced_dots_are_taken_as_postfix_takes_them_and_then_quoted(local: str) -> None:
    assert address.parse_mailbox(f"{local}@example.com") == f'"{local}"@example.com'
    assert address.parse_mailbox(f'"{local}"@example.com') == f'"{local}"@example.com'


@pytest.mark.parametrize(
    "path",
    [
        "",
        "<",
        ">",
        "<>",
        "zed@example.com",
        "<zed@example.com",
        "<zed@example.com>x",
        "< zed@example.com>",
        "<zed>",
        "<zed@>",
        "<@example.com>",
        "<zed shaw@example.com>",
        "<zed@exam ple.com>",
        "<zed@@example.com>",
        "<zed@example.com.>",
        "<zed@.example.com>",
        "<zed@-example.com>",
        "<zed@example-.com>",
        f"<zed@{'a' * 64}.com>",
        "<zed@example.com\r\n>",
        "<zed\0@example.com>",
        '<"zed@example.com>',
        '<"ze\rd"@example.com>',
        "<zed@[192.0.2.256]>",
        "<zed@[2001:db8::1]>",
        "<zed@[IPv6:fe80::1%eth0]>",
        "<zed@[192.0.2.1>",
        "<@relay.example:>",
        "<z\u00e9d@example.com>",
        f"<{'a' * 251}@b.c>",
    ],
)
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(AddressError, match="not a mail address"):
        address.parse_path(path)


def test_the_error_names_a_long_text_shortly_and_in_ascii() -> None:
    with pytest.raises(AddressError) as refused:
        address.parse_mailbox("\u00e9" * 1000, smtputf8=True)
    assert len(str(refused.value)) < 600
    assert str(refused.value).isascii()


def test_the_null_path_is_for_senders_only() -> None:
    assert address.parse_path("<>", null=True) == address.NULL_PATH
    with pytest.raises(AddressError):
        address.parse_path("<>")


def test_local_parts_over_64_octets_pass_as_they_do_in_postfix() -> None:
    long = f"{'a' * 200}@example.com"
    assert address.parse_mailbox(long) == long
    assert address.parse_path(f"<{long}>") == long


def test_the_limit_counts_octets() -> None:
    fits, too_long = "\u00e9" * 125 + "@b.c", "\u00e9" * 126 + "@b.c"
    assert address.parse_mailbox(fits, smtputf8=True) == fits
    with pytest.raises(AddressError, match="longer than 254 octets"):
        address.parse_mailbox(too_long, smtputf8=True)


def test_utf8_needs_smtputf8() -> None:
    assert address.parse_path("<z\u00e9d@B\u00dccher.example>", smtputf8=True) == (
        "z\u00e9d@b\u00fccher.example"
    )
    with pytest.raises(AddressError, match="without SMTPUTF8"):
        address.parse_path("<z\u00e9d@example.com>")


@pytest.mark.parametrize("letter", ["\x85", "\u2028", "\udc80"])
def test_no_utf8_control_or_line_separator_or_surrogate(letter: str) -> None:
    for text in (f"a{letter}@x", f'"a{letter}"@x', f"a@x{letter}"):
        with pytest.raises(AddressError):
            address.parse_mailbox(text, smtputf8=True)


def test_normalise_makes_spellings_of_one_address_equal() -> None:
    assert address.normalise("Zed@Example.COM") == "zed@example.com"
    assert address.normalise("E\u0301@x") == address.normalise("\u00e9@x")


def test_split() -> None:
    assert address.split("zed@example.com") == ("zed", "example.com")
    assert address.split('"a@b"@example.com') == ('"a@b"', "example.com")
    assert address.split("postmaster") == ("postmaster", "")


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("zed@example.com", "zed@example.com"),
        (" Zed A. Shaw <Zed@Example.com> ", "Zed@example.com"),
        ('"Shaw, Zed" <zed@example.com>', "zed@example.com"),
        ('"a \\" b" <zed@example.com>', "zed@example.com"),
        ("=?utf-8?q?Zed=2C?= <zed@example.com>", "zed@example.com"),
        ("Z\u00e9d <z\u00e9d@b\u00fccher.example>", "z\u00e9d@b\u00fccher.example"),
        ("Zed\r\n <zed@example.com>", "zed@example.com"),
        ("zed@example.com (Zed (the \\) coder))", "zed@example.com"),
        ("(c) Zed (c) <(c)zed(c)@(c)example.com(c)>", "zed@example.com"),
        ('"zed shaw"@example.com', '"zed shaw"@example.com'),
        ("zed.@docomo.example", '"zed."@docomo.example'),
        ("zed@[192.0.2.1]", "zed@[192.0.2.1]"),
        ("Coders: Zed <zed@example.com>;", "zed@example.com"),
        ("Nobody:;, zed@example.com", "zed@example.com"),
        (",zed@example.com,", "zed@example.com"),
    ],
)
def test_a_from_field_with_one_mailbox(field: str, expected: str) -> None:
    assert address.single_mailbox(field) == expected


@pytest.mark.parametrize(
    "field",
    [
        "",
        "   ",
        "Zed",
        "postmaster",
        "<>",
        "a@x, b@x",
        "A <a@x>, B <b@x>",
        "Coders: a@x, b@x;",
        "Nobody:;",
        "Nobody:; a@x",
        "A: B: a@x;;",
        ": a@x;",
        "a@x;",
        "Coders: a@x",
        "b@x <a@x>",
        "A <a@x> B",
        "A <a@x",
        "A a@x>",
        "<<a@x>>",
        "a b@x",
        "a@x y",
        "<@relay:a@x>",
        "<a@x,b@x>",
        '"unclosed <a@x>',
        "(unclosed a@x",
        "a@x)",
        "a\0@x",
        "a@[192.0.2.1",
        "a@x\\",
        f"{'x' * 255}@example.com",
        f"{'x' * 8192} <a@x>",
    ],
)
def test_a_from_field_without_exactly_one_valid_mailbox(field: str) -> None:
    assert address.single_mailbox(field) is None


TOO_LONG = "user@" + "\u00fc\u00e4" * 28 + ".example"  # in A-labels


@pytest.mark.parametrize(
    ("written", "in_ascii"),
    [
        ("zed@example.com", "zed@example.com"),
        ("user@b\u00fccher.example", "user@xn--bcher-kva.example"),
        ("user@stra\u00dfe.example", "user@xn--strae-oqa.example"),
        ("jos\u00e9@b\u00fccher.example", "jos\u00e9@b\u00fccher.example"),
        (TOO_LONG, TOO_LONG),
        ("postmaster", "postmaster"),
    ],
)
def test_what_can_be_written_without_smtputf8(written: str, in_ascii: str) -> None:
    assert address.for_ascii(written) == in_ascii
