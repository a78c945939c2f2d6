"""lamson.tracing.own_log: our own lines, of this version and of others."""

from __future__ import annotations

import pytest

from lamson.tracing import own_log

AT = "2026-11-22T19:20:01.123+00:00"


def test_an_event_is_read_with_its_fields() -> None:
    event = own_log.parse(
        f"{AT} submitted id=4ZxW message_id=<1@x> recipients=a@b.c"
        ' reply="250 2.0.0 Ok: queued as 7C0E2A1B5F" new_field=x'.encode()
    )
    assert event is not None
    assert (event.where, event.id, event.what) == ("lamson", "4ZxW", "submitted")
    assert event.at == 1795375201.123
    assert event.fields["reply"] == "250 2.0.0 Ok: queued as 7C0E2A1B5F"
    assert event.fields["new_field"] == "x"
    assert event.leads == (("4ZxW", "7C0E2A1B5F"),)


def test_only_submission_leads_on() -> None:
    event = own_log.parse(f'{AT} kept id=4ZxW reason="queued as 7C0E2A1B5F"'.encode())
    assert event is not None
    assert event.leads == ()


def test_what_stands_in_quotes_is_one_value() -> None:
    line = f'{AT} kept id=4ZxW reason="a \\"b\\" x=1\\nforged" key=k'.encode()
    event = own_log.parse(line)
    assert event is not None
    assert event.fields == {"reason": 'a "b" x=1\nforged', "key": "k"}


def test_the_other_lines_that_name_a_mail() -> None:
    line = f"{AT} ERROR lamson: id=4ZxW recipient=a@b.c: handler failed: KeyError('x')".encode()
    event = own_log.parse(line)
    assert event is not None
    assert (event.id, event.what) == ("4ZxW", "ERROR")
    assert event.text == "recipient=a@b.c: handler failed: KeyError('x')"


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"    id=4ZxW indented",
        f"{AT} ERROR lamson: 3 deliveries answered 451".encode(),
        b"2026-13-99T19:20:01.123+00:00 received id=4ZxW",
        b"11-22T19:20:01.123+00:00 received id=4ZxW",
        b"\0\0\0 received id=4ZxW",
    ],
)
def test_lines_about_no_mail(line: bytes) -> None:
    assert own_log.parse(line) is None


def test_a_line_that_was_cut_shows_what_is_there() -> None:
    event = own_log.parse(
        f'{AT} submitted id=4ZxW message_id=<1@x> reply="250 2.0.0 Ok: que'.encode()
    )
    assert event is not None
    assert event.fields == {"message_id": "<1@x>"}
    assert event.leads == ()
