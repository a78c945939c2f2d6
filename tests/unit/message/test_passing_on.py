"""A message with fields of ours on top: every other octet as it came."""

from __future__ import annotations

import pytest

from lamson.message.mailboxes import Mailbox
from lamson.message.passing_on import with_fields

CAME = (
    b"Received: from x\r\n by y\r\nsubject:  =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n an alle\r\n"
    b"Reply-To: a@b.c,\r\n d@e.f\r\nX: \xe9 \r\n\r\nSubject: body\r\nReply-To: \xff\r\n.\r\n"
)


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_fields_stand_on_top(end: bytes) -> None:
    came = CAME.replace(b"\r\n", end)
    fields = [("List-Id", "<users.test.com>"), ("X-Loop", "Grüße an alle"), ("X-Loop", "2")]
    passed = with_fields(came, fields)
    on_top = (
        b"List-Id: <users.test.com>\r\nX-Loop: =?utf-8?q?Gr=C3=BC=C3=9Fe_an_alle?=\r\nX-Loop: 2\r\n"
    )
    assert passed == on_top.replace(b"\r\n", end) + came
    assert with_fields(came, {}) == came


def test_a_field_that_may_stand_once_is_replaced() -> None:
    passed = with_fields(CAME, {"Reply-To": Mailbox("Die, Liste", "list@test.com")})
    assert passed == b'Reply-To: "Die, Liste" <list@test.com>\r\n' + CAME.replace(
        b"Reply-To: a@b.c,\r\n d@e.f\r\n", b""
    )
    only = with_fields(b"Reply-To: a@b.c", {"Reply-To": "d@e.f"})
    assert only == b"Reply-To: d@e.f\r\n"


@pytest.mark.parametrize(
    ("prefix", "written"),
    [
        ("[users]", b"subject:  [users] =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"),
        ("[users] ", b"subject:  [users] =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"),
        ("[ü]", b"subject:  =?utf-8?b?W8O8XSA=?= =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"),
    ],
)
def test_a_prefix_stands_in_the_subject(prefix: str, written: bytes) -> None:
    passed = with_fields(CAME, [], subject="Grüße an alle", prefix=prefix)
    assert passed == CAME.replace(b"subject:  =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n", written)


@pytest.mark.parametrize(
    ("came", "subject", "passed"),
    [
        (b"Subject: Re: [Users] x\r\n\r\n", "Re: [Users] x", b"Subject: Re: [Users] x\r\n\r\n"),
        (b"A: b\r\n\r\nx", "", b"Subject: [users]\r\nA: b\r\n\r\nx"),
        (b"Subject:\r\n\r\nx", "", b"Subject:[users]\r\n\r\nx"),
        (b"Subject: \r\n x\r\n\r\n", "x", b"Subject: [users]\r\n x\r\n\r\n"),
        (b"\r\nSubject: body", "", b"Subject: [users]\r\n\r\nSubject: body"),
        (b"", "", b"Subject: [users]\r\n"),
        (b" x\r\n", "", b"Subject: [users]\r\n\r\n x\r\n"),
        (
            b"Subject: " + b"x" * 985 + b"\r\n\r\n",
            "x" * 985,
            b"Subject: [users]\r\n " + b"x" * 985 + b"\r\n\r\n",
        ),
    ],
)
def test_subjects_of_all_kinds(came: bytes, subject: str, passed: bytes) -> None:
    assert with_fields(came, [], subject=subject, prefix="[users]") == passed


def test_a_new_subject_gets_the_prefix_and_stays_the_only_one() -> None:
    passed = with_fields(CAME, {"Subject": "Grüße"}, subject="old [users]", prefix="[users]")
    assert passed.startswith(
        b"Subject: =?utf-8?q?=5Busers=5D_Gr=C3=BC=C3=9Fe?=\r\nReceived: from x"
    )
    assert passed.lower().count(b"\nsubject:") == 1, "the one in the body"
    passed = with_fields(CAME, {"subject": "[USERS] x"}, prefix="[users]")
    assert passed.startswith(b"subject: [USERS] x\r\nReceived")


@pytest.mark.parametrize(
    ("name", "value"), [("X", "a\r\nBcc: x@y.z"), ("Content-Type", "text/html"), ("X Y", "z")]
)
def test_what_cannot_be_a_field(name: str, value: str) -> None:
    with pytest.raises(ValueError, match="header field"):
        with_fields(CAME, {name: value})


def test_no_field_that_is_replaced_hides_behind_a_bare_cr() -> None:
    raw = b"From: a@b.example\r\nX: a\rReply-To: evil@x.example\r\n\r\nhi\r\n"
    assert b"evil" not in with_fields(raw, {"Reply-To": "list@c.example"})
