"""lamson.results: our own server's results alone, whatever a stranger writes."""

from __future__ import annotations

import time

import pytest

from lamson.results import Authentication, OwnServer, Spam, authentication, proof, spam
from tests.unit.support import make_message


def message(*fields: str) -> bytes:
    return "".join(f"{field}\r\n" for field in fields).encode() + b"\r\nbody\r\n"


OURS = (
    "Authentication-Results: mx.test.com; dkim=pass (2048-bit) header.d=Example.org;"
    " spf=fail smtp.mailfrom=zed@other.example; dmarc=pass header.from=example.org"
)


def test_results_of_our_own_server() -> None:
    found = authentication(make_message(message(OURS)), "MX.test.com")
    assert [(one.method, one.value) for one in found.results] == [
        ("dkim", "pass"),
        ("spf", "fail"),
        ("dmarc", "pass"),
    ]
    assert found.passed("dkim", "example.org")
    assert found.passed("dkim")
    assert not found.passed("dkim", "other.example")
    assert not found.passed("spf")
    assert found.of("spf")[0].properties == {"smtp.mailfrom": "zed@other.example"}


@pytest.mark.parametrize(
    "field",
    [
        "Authentication-Results: mx.evil.example; dkim=pass header.d=bank.example",
        "Authentication-Results: mx.test.com.evil.example; dkim=pass header.d=bank.example",
        "Authentication-Results: (mx.test.com) evil.example; dkim=pass header.d=bank.example",
        'Authentication-Results: mx.test.com; dkim=fail reason="; dkim=pass" header.d=a.example',
        'Authentication-Results: "mx.test.com".evil.example; dkim=pass header.d=bank.example',
        'Authentication-Results: "mx.test.com; dkim=pass header.d=bank.example',
        'Authentication-Results: mx.test.com; spf=fail smtp.mailfrom="<x>; dkim=pass"@a.example',
        "Authentication-Results: mx.test.com; spf=fail smtp.mailfrom=<x; dkim=pass header.d=a.b>",
        "Authentication-Results: mx.test.com; " + ".a=<" * 2000,
        "Authentication-Results: mx.test.com; " + '\\"' * 4000,
        "Authentication-Results: mx.test.com; " + ".a=" + "( " * 4000,
        "Authentication-Results: mx.test.com; " + ".a=" + "()" * 4000,
        "Authentication-Results: mx.test.com; none",
        "Authentication-Results: mx.test.com; " + "(" * 4000,
        "Authentication-Results: mx.test.com; " + "dkim=pass header.d=a.example; " * 4000,
        "Authentication-Results: mx.test.com; dkim=p\u00e4ss",
        "Authentication-Results:",
        "X-Authentication-Results: mx.test.com; dkim=pass",
    ],
)
def test_nothing_else_counts(field: str) -> None:
    began = time.process_time()
    assert not authentication(make_message(message(field)), "mx.test.com").passed("dkim")
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("field", "sender"),
    [
        ('"mx.test.com"; spf=pass smtp.mailfrom=z@a.example', "z@a.example"),
        ('"mx.test.com" 1; spf=pass smtp.mailfrom=z@a.example', "z@a.example"),
        ("mx.test.com; spf=pass smtp.mailfrom=<>", ""),
        ("mx.test.com; spf=pass smtp.mailfrom=<z@a.example>", "z@a.example"),
        ('mx.test.com; spf=pass smtp.mailfrom="z@a.example" smtp.helo=a.example', "z@a.example"),
        ('mx.test.com; spf=pass reason="a.b=<c>" smtp.mailfrom="y z"@a.example', '"y z"@a.example'),
        ('mx.test.com; spf=pass smtp.mailfrom="x.y=<z>"@a.example', '"x.y=<z>"@a.example'),
    ],
)
def test_what_is_quoted_or_in_angle_brackets(field: str, sender: str) -> None:
    """Neither takes the results away that stand beside it."""
    raw = message(f"Authentication-Results: {field}; dkim=pass header.d=a.example")
    found = authentication(make_message(raw), "mx.test.com")
    assert found.of("spf")[0].properties["smtp.mailfrom"] == sender
    assert found.passed("dkim", "a.example")


@pytest.mark.parametrize(
    "field",
    [
        "=?us-ascii?q?mx=2Etest=2Ecom?=; dmarc=pass header.from=bank.example",
        "=?utf-8?b?bXgudGVzdC5jb20=?=; dmarc=pass header.from=bank.example",
        "mx.test.com; spf=pass smtp.mailfrom==?us-ascii?q?x=3B_dmarc=3Dpass_header=2Efrom=3D"
        "bank=2Eexample=3B_arc=3Dnone_x.y=3Dz?=@evil.example",
        'mx.test.com; spf=pass smtp.mailfrom=x@evil.example reason="=?us-ascii?q?=22=3B_dmarc=3D'
        'pass_header.from=3Dbank=2Eexample=3B_arc=3Dnone_reason=3D=22?="',
    ],
)
def test_encoded_words_say_nothing(field: str) -> None:
    """Neither our authserv-id, past who removes forged ones, nor what is in a sender's address."""
    found = authentication(make_message(message(f"Authentication-Results: {field}")), "mx.test.com")
    assert found.of("dmarc") == []
    assert not found.passed("spf", "bank.example")


@pytest.mark.parametrize("empty", ["", "<>", '""'])
@pytest.mark.parametrize(
    "rest",
    [
        " smtp.helo=x@bank.example",
        "",
        "\r\n\tsmtp.helo=x@bank.example",
        " (null) smtp.helo=x@bank.example",
    ],
)
def test_an_empty_value_does_not_take_the_property_behind_it(empty: str, rest: str) -> None:
    raw = message(f"Authentication-Results: mx.test.com; spf=pass smtp.mailfrom={empty}{rest}")
    found = authentication(make_message(raw), "mx.test.com")
    assert found.passed("spf")
    assert not found.passed("spf", "bank.example")
    assert found.of("spf")[0].properties["smtp.mailfrom"] == ""
    assert ("smtp.helo" in found.of("spf")[0].properties) == bool(rest)


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (
            "X-Spamd-Result: default: True [17.20 / 15.00]; ABC(1.00)[x]",
            Spam(17.2, 15.0, True),
        ),
        ("X-Spamd-Result: default: False [-1.5 / 15.00]", Spam(-1.5, 15.0, False)),
        ("X-Spam-Status: Yes, score=5.1 required=5.0 tests=A,B", Spam(5.1, 5.0, True)),
        ("X-Spam-Status: No, score=-0.1 required=5.0", Spam(-0.1, 5.0, False)),
        ("X-Spam-Status: Yes, score=10.1", Spam(10.1, None, True)),  # rspamd's
        ("X-Spam-Status: No, score=-0.50", Spam(-0.5, None, False)),
        ("X-Spam-Status: perhaps", None),
        ("X-Other: Yes", None),
    ],
)
def test_spam(field: str, expected: Spam | None) -> None:
    assert spam(make_message(message(field))) == expected


def test_a_domain_that_the_method_did_not_look_at_has_not_passed() -> None:
    field = "Authentication-Results: mx.test.com; dkim=pass header.d=evil.example"
    field += " header.from=bank.example"
    found = authentication(make_message(message(field)), "mx.test.com")
    assert found.passed("dkim", "evil.example")
    assert not found.passed("dkim", "bank.example")


def test_one_domain_has_several_spellings() -> None:
    field = "Authentication-Results: mx.test.com; dkim=pass header.d=xn--bcher-kva.example"
    found = authentication(make_message(message(field)), "mx.test.com")
    assert found.passed("dkim", "B\u00fccher.example")
    assert not found.passed("dkim", "bucher.example")


@pytest.mark.parametrize(
    ("results", "domain", "proven"),
    [
        ("dmarc=pass header.from=Example.org", "example.org", True),
        ("dmarc=pass header.from=example.org", "mail.example.org", False),
        ("dmarc=fail header.from=example.org", "example.org", False),
        ("dkim=pass header.d=mail.example.org", "lists.example.org", True),
        ("dkim=pass header.d=evil.example", "example.org", False),
        ("dkim=pass header.d=b.co.uk", "a.co.uk", False),
        ("dkim=pass header.d=xn--bcher-kva.example", "bücher.example", True),
        ("spf=pass smtp.mailfrom=zed@example.org", "example.org", False),
        ("dkim=pass", "example.org", False),
        ("dkim=pass header.d=a.test; dmarc=fail header.from=b.a.test", "b.a.test", False),
        ("dkim=pass header.d=a.test; dmarc=fail header.from=c.a.test", "b.a.test", True),
        (
            'spf=pass (domain of "a) ; dmarc=pass header.from=bank.test (b"@evil.test is right);'
            " dmarc=fail header.from=bank.test",
            "bank.test",
            False,
        ),
    ],
)
def test_what_proves_an_author(results: str, domain: str, proven: bool) -> None:
    made = make_message(message(f"Authentication-Results: mx.test.com; {results}"))
    assert (proof(made, "mx.test.com", domain) is not None) is proven
    assert proof(made, "mx.other.example", domain) is None


@pytest.mark.parametrize(
    ("results", "author", "sender", "has_looked"),
    [
        ("dmarc=pass header.from=example.org", "dmarc", False, True),
        ("dkim=pass header.d=example.org; dmarc=none header.from=example.org", "dkim", False, True),
        ("dkim=none", None, False, True),
        ("spf=pass smtp.mailfrom=bounces@list.example", None, True, False),
        ("spf=pass smtp.mailfrom=example.org", None, False, False),
        ("none", None, False, False),
    ],
)
def test_what_our_own_server_testifies_to(
    results: str, author: str | None, sender: bool, has_looked: bool
) -> None:
    fields = f"Authentication-Results: mx.test.com; {results}\r\nFrom: zed@example.org"
    made = make_message(message(fields), sender="bounces@list.example")
    server = OwnServer("mx.test.com")
    assert (server.author(made), server.sender(made), server.has_looked(made)) == (
        author,
        sender,
        has_looked,
    )
    nobody = make_message(message(fields + "\r\nFrom: ann@example.net"), sender="")
    assert (server.author(nobody), server.sender(nobody)) == (None, False)


def test_they_are_read_once_for_all_recipients() -> None:
    one = make_message(message(OURS))
    assert authentication(one, "mx.test.com") is authentication(one, "MX.Test.com")
    assert authentication(one, "other.test") == Authentication()


def test_of_many_fields_the_topmost_count() -> None:
    field = "Authentication-Results: mx.test.com; dkim=pass header.d=a.example"
    found = authentication(make_message(message(*[field] * 5000)), "mx.test.com")
    assert len(found.results) == 20
    long = f"Authentication-Results: mx.test.com{'; dkim=pass' * 700}"
    found = authentication(make_message(message(*[long] * 100)), "mx.test.com")
    assert len(found.results) <= 4 * 700


def test_strangers_fields_do_not_push_ours_away() -> None:
    theirs = "Authentication-Results: mx.evil.example; dkim=fail"
    found = authentication(make_message(message(*[theirs] * 500, OURS)), "mx.test.com")
    assert found.passed("dkim")
