"""lamson_milter.field: text as it stands behind a field's name, and never an address lost."""

from __future__ import annotations

import email
from email import policy

import pytest

from lamson_milter.actions import AddHeader, ChangeHeader
from lamson_milter.field import field_value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("plain", " plain"),
        (" blanks\t", " blanks"),
        ("Gr\u00fc\u00dfe", " =?utf-8?b?R3LDvMOfZQ==?="),
        ("", " "),
    ],
)
def test_field_values(value: str, expected: str) -> None:
    assert field_value("X", value) == expected


def test_a_long_field_value_is_folded() -> None:
    lines = field_value("X-Long", "word " * 40).split("\n")
    assert len(lines) > 2
    assert all(len(line) <= 78 and line.startswith(" ") for line in lines)
    assert "".join(lines).split() == ["word"] * 40


ADDRESS_FIELDS = ["From", "Sender", "Reply-To", "To", "Cc", "Resent-From", "reply-to"]


@pytest.mark.parametrize("name", ADDRESS_FIELDS)
@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("J\u00fcrgen via Liste <liste@test.com>", [("J\u00fcrgen via Liste", "liste@test.com")]),
        ('"M\u00fcller, J\u00fcrgen" <a@b.test>', [("M\u00fcller, J\u00fcrgen", "a@b.test")]),
        ("=?utf-8?q?x?= <a@b.test>", [("=?utf-8?q?x?=", "a@b.test")]),
    ],
)
def test_addresses_stay_addresses(name: str, value: str, found: list[tuple[str, str]]) -> None:
    raw = f"{name}:{field_value(name, value)}\n\n"
    assert raw.isascii()
    read = email.message_from_string(raw, policy=policy.default)[name]
    assert [(one.display_name, one.addr_spec) for one in read.addresses] == found


def test_several_addresses() -> None:
    value = field_value("To", "\u00c4 <a@b.test>, c@d.test, \u00d6 <e@f.test>")
    read = email.message_from_string(f"To:{value}\n\n", policy=policy.default)["To"]
    assert [one.addr_spec for one in read.addresses] == ["a@b.test", "c@d.test", "e@f.test"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("From", "J\u00fcrgen"),
        ("From", "j\u00fcrgen@test.com"),
        ("To", "\u00c4 <a@b.test>, nonsense"),
        ("Content-Disposition", "attachment; \u00fc"),
        ("Content-Type", "te\u00dft/plain"),
    ],
)
def test_what_cannot_be_encoded_is_refused_in_the_filters_line(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"field {name}: "):
        AddHeader(name, value)
    with pytest.raises(ValueError, match=f"field {name}: "):
        ChangeHeader(name, value)


def test_angle_brackets_are_never_encoded() -> None:
    value = field_value("List-Id", "J\u00fcrgens Liste <list.example.com>")
    assert value.endswith(" <list.example.com>")
    assert value.isascii()
    assert field_value("List-Id", "\u00fc").startswith(" =?utf-8?")


@pytest.mark.parametrize("filename", ["gr\u00f6\u00dfe.pdf", "\u6587" * 60 + ".txt"])
def test_parameters_are_encoded_as_rfc_2231_says(filename: str) -> None:
    value = field_value("Content-Disposition", f'attachment; filename="{filename}"; x=y')
    raw = f"Content-Disposition:{value}\n\n"
    assert raw.isascii()
    read = email.message_from_string(raw, policy=policy.default)
    assert read.get_content_disposition() == "attachment"
    assert read.get_filename() == filename
    assert read["Content-Disposition"].params["x"] == "y"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Subject", "x" * 2000),
        ("Content-Disposition", f'attachment; filename="{"x" * 2000}"'),
        ("List-Post", f"\u00fc <{'x' * 2000}>"),
        ("Message-ID", f"<{'x' * 2000}>"),
        ("To", ",".join(["a@b.test"] * 300)),
    ],
)
def test_no_line_is_too_long(name: str, value: str) -> None:
    lines = f"{name}:{field_value(name, value)}".split("\n")
    assert max(map(len, lines)) <= 78
