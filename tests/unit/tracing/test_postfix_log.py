"""lamson.tracing.postfix_log: lines of each form, and lines that strangers wrote into."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from lamson.tracing import postfix_log

if TYPE_CHECKING:
    from lamson.tracing.event import Event

LONG, SHORT = "4ZxWQk1qg7z3Bq", "7C0E2A1B5F"
WRITTEN = datetime(2026, 3, 1, 12, 0).timestamp()


def parsed(line: str | bytes) -> Event:
    octets = line if isinstance(line, bytes) else line.encode()
    event = postfix_log.parse(octets, WRITTEN)
    assert event is not None, line
    return event


@pytest.mark.parametrize("id", [LONG, SHORT])
@pytest.mark.parametrize(
    ("head", "at", "is_precise"),
    [
        ("Feb 28 12:24:03 mx postfix/", datetime(2026, 2, 28, 12, 24, 3), False),
        ("<22>Feb  3 02:24:03 mx postfix/", datetime(2026, 2, 3, 2, 24, 3), False),
        ("Nov 29 12:24:03 mx postfix/", datetime(2025, 11, 29, 12, 24, 3), False),
        (
            "2026-02-28T12:24:03.123456+01:00 mx postfix/",
            datetime(2026, 2, 28, 11, 24, 3, 123456, UTC),
            True,
        ),
        (
            "2026-02-28T12:24:03.123456+0000 mx postfix-out/submission/",
            datetime(2026, 2, 28, 12, 24, 3, 123456, UTC),
            True,
        ),
        ("2026-02-28T12:24:03Z mx postfix/", datetime(2026, 2, 28, 12, 24, 3, 0, UTC), False),
    ],
)
def test_each_form_of_a_log_is_read(head: str, at: datetime, is_precise: bool, id: str) -> None:
    event = parsed(f"{head}qmgr[12]: {id}: from=<a@e.example>, size=812, nrcpt=1 (queue active)")
    assert (event.where, event.id, event.what) == ("postfix", id, "qmgr")
    assert event.at == at.timestamp()
    assert event.is_precise is is_precise
    assert event.fields == {"from": "<a@e.example>", "size": "812", "nrcpt": "1"}


def test_a_delivery_is_understood_whole() -> None:
    event = parsed(
        f"Feb 28 12:24:03 mx postfix/smtp[7]: {LONG}: to=<joe@e.example>, orig_to=<j@e.example>,"
        " relay=mx.e.example[192.0.2.1]:25, delay=0.1, delays=0.01/0/0.05/0.04, dsn=2.0.0,"
        " status=sent (250 2.0.0 Ok: queued as 7C0E2A1B5F)"
    )
    assert event.fields["status"] == "sent"
    assert event.fields["reply"] == "250 2.0.0 Ok: queued as 7C0E2A1B5F"
    assert event.leads == (), "another server's ids are none of ours"
    assert event.is_late


def test_ids_are_followed_where_this_machine_says_them() -> None:
    head = "Feb 28 12:24:03 mx postfix/"
    here = "to=<a@b.c>, relay=127.0.0.1[127.0.0.1]:10025, delay=1, delays=1/0/0/0, dsn=2.0.0,"
    assert parsed(
        f"{head}smtp[7]: {LONG}: {here} status=sent (250 Ok: queued as {SHORT})"
    ).leads == ((LONG, SHORT),)
    notice = f"{LONG}: sender non-delivery notification: {SHORT}"
    assert parsed(f"{head}bounce[7]: {notice}").leads == ((LONG, SHORT),)
    assert parsed(f"{head}bounce[7]: {LONG}: sender delay notification: {SHORT}").leads
    assert parsed(f"{head}cleanup[7]: {notice}").leads == ()
    client = f"client=x[127.0.0.1], orig_queue_id={LONG}, orig_client=y[192.0.2.1]"
    assert parsed(f"{head}smtpd[7]: {SHORT}: {client}").leads == ((LONG, SHORT),)


def test_what_a_mail_says_is_no_field() -> None:
    """Addresses and ids that are made to look like the rest of a line."""
    head = "Feb 28 12:24:03 mx postfix/"
    forged = '"x>, relay=127.0.0.1[127.0.0.1]:25, status=sent (queued as 7C0E2A1B5F)"@e.example'
    event = parsed(
        f"{head}smtp[7]: {LONG}: to=<{forged}>, relay=none, delay=1, delays=1/0/0/0, dsn=5.1.1,"
        " status=bounced (no)"
    )
    assert (event.fields["status"], event.fields["relay"], event.leads) == ("bounced", "none", ())
    event = parsed(
        f"{head}cleanup[7]: {LONG}: message-id=<x> to=<y>, relay=127.0.0.1[127.0.0.1]:25,"
        " delay=1, dsn=2.0.0, status=sent (queued as 7C0E2A1B5F)"
    )
    assert event.leads == ()
    assert "status" not in event.fields


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\0\0\0\0",
        b"Feb 28 12:24:03 mx postfix/smtpd[7]: connect from x[192.0.2.1]",
        b"Feb 28 12:24:03 mx postfix/qmgr[7]: 4ZxWQk1qg7",
        b"28 12:24:03 mx postfix/qmgr[7]: 4ZxWQk1qg7z3Bq: removed",
        b"Feb 28 12:24:03 mx sshd[7]: 4ZxWQk1qg7z3Bq: removed",
        b"2026-02-28T12:24:03.123+00:00 received id=4ZxWQk1qg7z3Bq sender=x",
    ],
)
def test_other_lines_are_about_no_mail(line: bytes) -> None:
    assert postfix_log.parse(line, WRITTEN) is None


def test_octets_of_no_charset_and_times_that_are_none() -> None:
    event = parsed(b"Feb 30 12:24:03 mx postfix/cleanup[7]: 7C0E2A1B5F: message-id=<\xe4\0@x>")
    assert event.at is None
    assert event.fields["message_id"] == "<\\xe4\0@x>"
    assert parsed(b"Feb 29 12:24:03 mx postfix/qmgr[7]: 7C0E2A1B5F: removed").at == (
        datetime(2024, 2, 29, 12, 24, 3).timestamp()
    )
    cut = b"Feb 28 12:24:03 mx postfix/smtp[7]: 7C0E2A1B5F: to=<a@b.c>, relay=x, delay=1, dsn=4.0"
    assert parsed(cut).fields == {}


def test_mail_that_got_no_queue_id() -> None:
    event = parsed(
        "Feb 28 12:24:03 mx postfix/smtpd[7]: NOQUEUE: reject: RCPT from x[192.0.2.1]: 550 5.1.1"
        " <b@test.com>: Recipient address rejected; from=<a@e.example> to=<b@test.com> proto=ESMTP"
    )
    assert list(postfix_log.mailboxes(event)) == ["a@e.example", "b@test.com"]
