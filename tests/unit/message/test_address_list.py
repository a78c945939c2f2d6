"""Mailboxes found in what strangers write into address fields."""

from __future__ import annotations

import pytest

from lamson.message.address_list import MAX_FIELD, MAX_MAILBOXES, read
from lamson.message.defects import Defects


def found(*values: str) -> list[tuple[str, str]]:
    mailboxes = read([value.encode() for value in values], Defects(), "From")
    return [(one.name, one.address) for one in mailboxes]


JOE = "joe@example.com"


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (JOE, ""),
        (f"Joe <{JOE}>", "Joe"),
        (f"{JOE} (Joe)", "Joe"),
        (f"{JOE} <{JOE}>", JOE),
        (f"Doe, Joe <{JOE}>", "Doe, Joe"),
        (f'"Doe, Joe" <{JOE}>', "Doe, Joe"),
        (f'Joe "Q" Doe <{JOE}>', "Joe Q Doe"),
        (f"=?utf-8?Q?M=C3=BCller,_J?= <{JOE}>", "Müller, J"),
        (f"=?utf-8?Q?M=C3=BC?= =?utf-8?Q?ller?= <{JOE}>", "Müller"),
        (f'"=?utf-8?B?TcO8?=" <{JOE}>', "Mü"),
        (f"=?utf-8?Q?Joe_<{JOE}>?=", "Joe"),
        (f"[ACME] Joe <{JOE}>", "[ACME] Joe"),
        (f"Joe @ Example <{JOE}>", "Joe @ Example"),
        (f"Joe <{JOE}", "Joe"),
        (f"Joe <<{JOE}>>", "Joe"),
        (f"Joe (ACME <{JOE}>", "Joe ACME"),
        (f'"Joe <{JOE}>', "Joe"),
        (f"Joe <{JOE}>;", "Joe"),
        (f"Joe <{JOE}>, ", "Joe"),
        (f"<{JOE}> Joe", "Joe"),
        (f"Joe {JOE}", "Joe"),
        (f"Joe [{JOE}]", "Joe"),
        (f"Joe <mailto:{JOE}>", "Joe"),
        (f"mailto:{JOE}", ""),
        (f"'{JOE}'", ""),
        (f"< {JOE} >", ""),
        ("joe @ example . com", ""),
        (f"Joe <@relay.test,@b.test:{JOE}>", "Joe"),
        (f"Group: Joe <{JOE}>;", "Joe"),
        ("Joe <joe@example.com.>", "Joe"),
        (f"Joe ({JOE})", "Joe"),
        (f"Doe, Joe ({JOE})", "Doe, Joe"),
        (f"\ufeff{JOE}", ""),  # what is copied along with an address, and not seen
        (f"\u200e{JOE}\u200e", ""),
        (f"Joe <\u200b{JOE}\xa0>", "Joe"),
        ("Joe <joe\u200b@\u200bexample.com>", "Joe"),
        (f"Joe \u2039{JOE}\u203a", "Joe"),
        (f"Joe \uff1c{JOE}\uff1e", "Joe"),
        (f"{JOE}=20", ""),
        (f'"{JOE}"', ""),
        ("Joe <joe(his account)@example.com(his (other) host)>", "Joe"),  # RFC 5322 A.5
        ("Joe(A wonderful \\) chap) <joe(his account)@example.com(his host)>", "Joe"),
        (f"Joe [mailto:{JOE}]", "Joe"),
        (f"SMTP:{JOE}", ""),
        (f'"Joe" SMTP:{JOE}', "Joe"),
        (f"https://example.com/ <{JOE}>", "https://example.com/"),
    ],
)
def test_the_one_that_a_person_sees(value: str, name: str) -> None:
    assert found(value) == [(name, JOE)]


@pytest.mark.parametrize(
    ("value", "mailboxes"),
    [
        ("", []),
        ("undisclosed-recipients:;", []),
        ("Joe", []),
        ("Joe <joe>, zed", []),
        ("a\u037eb@example.com", []),  # folded it is "a;b"
        ("\u0130" * 110 + "@example.com", []),  # and this is too long
        ("a@x.test, Zed <b@x.test>", [("", "a@x.test"), ("Zed", "b@x.test")]),
        ("a@x.test b@x.test", [("", "a@x.test"), ("", "b@x.test")]),
        ("<a@x.test> <b@x.test>", [("", "a@x.test"), ("", "b@x.test")]),
        ("a@x.test; b@x.test", [("", "a@x.test"), ("", "b@x.test")]),
        ("g: a@x.test, Doe, Zed <b@x.test>;", [("", "a@x.test"), ("Doe, Zed", "b@x.test")]),
        ('"joe smith"@x.test', [("", '"joe smith"@x.test')]),
        ('"a, b" <"joe smith"@x.test>', [("a, b", '"joe smith"@x.test')]),
        (r'"a\"b"@x.test, Joe <"\\"@x.test>', [("", r'"a\"b"@x.test'), ("Joe", r'"\\"@x.test')]),
        ("joe@[192.0.2.1]", [("", "joe@[192.0.2.1]")]),
        ("Joe joe@[IPv6:2001:db8::1]", [("Joe", "joe@[ipv6:2001:db8::1]")]),
        # An equals sign is a letter of the local part: VERP, BATV, SRS, X.400.
        ("list+joe=example.com@x.test", [("", "list+joe=example.com@x.test")]),
        ("Joe prvs=1=a@x.test, b=c@x.test", [("Joe", "prvs=1=a@x.test"), ("", "b=c@x.test")]),
        ("/G=Joe/S=Doe/@x.test", [("", "/G=Joe/S=Doe/@x.test")]),
        ("a=?b@x.test", [("", "a=?b@x.test")]),
        ("a=?utf-8?q?b?=<c@x.test>", [("ab", "c@x.test")]),
        ('"a@x.test" <>', []),
        ("Zoë <zoë@exämple.test>", [("Zoë", "zoë@exämple.test")]),
    ],
)
def test_others(value: str, mailboxes: list[tuple[str, str]]) -> None:
    assert found(value) == mailboxes


def test_a_name_in_a_charset_that_nothing_names() -> None:
    field = "Heinz Müller <heinz@x.test>, Jürgen <jürgen@x.test>".encode("latin-1")
    mailboxes = [(one.name, one.address) for one in read([field], Defects(), "To")]
    assert mailboxes == [("Heinz Müller", "heinz@x.test")]
    (one,) = read(["=?utf-8?q?a?= ü <a@x.test>".encode()], Defects(), "To")
    assert one.name == "a ü"


def test_all_fields_are_read() -> None:
    assert found("a@x.test", "b@x.test") == [("", "a@x.test"), ("", "b@x.test")]


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "piece",
    [
        "(",
        '"',
        '"\\',
        "<",
        "<a",
        "a@b.test,",
        "=?a?q?",
        "a,",
        "a ",
        ":",
        "((a)",
        "@",
        '<"a"@',
        '<"\\a',
        "=",
        "=?a",
        "a@[1:",
        "<a(b@",
        "a=b@c=",
    ],
)
def test_it_is_linear_and_bounded(piece: str) -> None:
    assert len(found(piece * (MAX_FIELD // len(piece)))) <= MAX_MAILBOXES
