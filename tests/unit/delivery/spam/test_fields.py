"""Judges that ask nobody: whom a field in a stranger's mail can harm, and whom it cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lamson.delivery.spam.fields import Field, Fields, Noted
from lamson.delivery.spam.opinion import Opinion
from tests.unit.support import make_message

if TYPE_CHECKING:
    from lamson.message.request import MailRequest


def mail(*fields: str) -> MailRequest:
    return make_message("".join(f"{field}\r\n" for field in fields).encode() + b"\r\nbody\r\n")


@pytest.mark.parametrize(
    "field",
    [
        "X-Spam-Flag: YES",
        "X-Spam-Status: Yes, score=15.0 required=5.0 tests=BAYES_99",
        "X-Spam: Yes",
        "X-Spamd-Result: default: True [16.00 / 15.00];\r\n\tA(1.00)[]",
        "x-rspamd-action: add header",
        "X-Rspamd-Action: reject",
    ],
)
def test_who_says_that_it_is_spam_is_believed(field: str) -> None:
    opinion = Fields().opinion(mail("X-Spam-Flag: NO", "X-Spam-Status: No", field), 0.0)
    assert opinion is not None
    assert opinion.is_spam
    assert opinion.why.lower() == " ".join(field.split()).lower()


@pytest.mark.parametrize(
    "field",
    [
        "X-Spam-Flag: NO",
        "X-Spam-Status: No, score=-1.0 required=5.0 tests=YES",
        "X-Spam: yesterday",
        "X-Spamd-Result: default: False [1.00 / 15.00]; True [2 / 1]",
        "X-Rspamd-Action: no action",
        "X-Spam-Flag:",
        "Subject: X-Spam-Flag: YES",
        "X-Spam-Flag: =?utf-8?q?YES?=",
        "X-Spam-Status: " + "x" * 100_000,
    ],
)
def test_nothing_else_is_an_opinion(field: str) -> None:
    assert Fields().opinion(mail(field), 0.0) is None


def test_many_fields_cost_no_more_than_a_few() -> None:
    fields = ["X-Spam-Flag: NO"] * 20
    assert Fields().opinion(mail(*fields[:-1], "X-Spam-Flag: YES"), 0.0) is not None
    assert Fields().opinion(mail(*fields, "X-Spam-Flag: YES"), 0.0) is None


def test_a_field_of_our_own_server_is_believed_both_ways() -> None:
    judge = Field("X-Our-Verdict")
    assert judge.opinion(mail("X-Our-Verdict: ham", "X-Our-Verdict: spam"), 0.0) == Opinion(False)
    assert judge.opinion(mail("x-our-verdict: Spam (9.1)"), 0.0) == Opinion(
        True, "X-Our-Verdict: Spam (9.1)"
    )
    for fields in ((), ("X-Our-Verdict: perhaps",), ("X-Our-Verdict:",)):
        assert judge.opinion(mail(*fields), 0.0) is None


@pytest.mark.parametrize(
    ("notes", "opinion"),
    [
        ({}, None),
        ({"spam": True}, Opinion(True, "a filter noted spam")),
        ({"spam": False}, Opinion(False, "a filter noted spam")),
        ({"spam": "yes"}, None),
        ({"spam": 1}, None),
        ({"junk": True}, None),
    ],
)
def test_notes(notes: dict[str, object], opinion: Opinion | None) -> None:
    class Mail:
        pass

    message: Any = Mail()
    message.notes = notes
    assert Noted("spam").opinion(message, 0.0) == opinion
