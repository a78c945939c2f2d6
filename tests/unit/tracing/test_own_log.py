"""lamson.tracing.own_log: our own lines, of this version and of others."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from lamson import log
from lamson.tracing import own_log
from lamson.tracing.lines import LONGEST

if TYPE_CHECKING:
    from pathlib import Path

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


def test_a_line_may_name_the_id_alone() -> None:
    event = own_log.parse(f"{AT} ERROR lamson: id=4ZxW: submitting <1@x> failed".encode())
    assert event is not None
    assert (event.id, event.what, event.text) == ("4ZxW", "ERROR", "submitting <1@x> failed")


def test_events_of_lists_have_hyphens_in_their_names() -> None:
    event = own_log.parse(f"{AT} list-held id=4ZxW list=users reason=size".encode())
    assert event is not None
    assert (event.what, event.fields) == ("list-held", {"list": "users", "reason": "size"})


def written(path: Path, format: log.Format, sent: list[bytes] | None = None) -> list[bytes]:
    """What the log itself writes: an event, and an error with a traceback."""
    try:
        log.configure(path, format=format, connect=None if sent is None else lambda: Taking(sent))
        log.event(
            "submitted", "4ZxW", recipients="ä@b.c", attempt=2, reply="250 queued as 7C0E2A1B5F"
        )
        try:
            raise KeyError("x" * 20_000)
        except KeyError:
            log.logger.exception("id=%s recipient=%s: handler failed", "4ZxW", "a@b.c")
        log.logger.error("about no mail")
        log.flush()
    finally:
        log.configure(None)
    return [] if sent is not None else path.read_bytes().splitlines()


class Taking:
    """A journal."""

    def __init__(self, entries: list[bytes]) -> None:
        self._entries = entries

    def send(self, entry: bytes) -> None:
        self._entries.append(entry)

    def close(self) -> None: ...


def by_journalctl(entry: bytes) -> bytes:
    """As ``journalctl -o json`` shows it."""
    fields: dict[str, object] = {"__REALTIME_TIMESTAMP": "1795375201123000", "_UID": "8823"}
    while entry:
        line, _, entry = entry.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            size = int.from_bytes(entry[:8], "little")
            value, entry = entry[8 : 8 + size], entry[9 + size :]
        text = value.decode()
        fields[name.decode()] = text if len(text) < 4096 else None
    return json.dumps(fields).encode()


def told(lines: list[bytes]) -> list[tuple[str, str, dict[str, str], tuple[tuple[str, str], ...]]]:
    found = [own_log.parse(line[:LONGEST]) for line in lines]
    return [(one.id, one.what, one.fields, one.leads) for one in found if one is not None]


def test_each_form_of_the_log_tells_the_same(tmp_path: Path) -> None:
    sent: list[bytes] = []
    text = told(written(tmp_path / "text", "text"))
    assert [one[:2] for one in text] == [("4ZxW", "submitted"), ("4ZxW", "ERROR")]
    assert text[0][3] == (("4ZxW", "7C0E2A1B5F"),)
    objects = written(tmp_path / "json", "json")
    assert told(objects) == text
    written(tmp_path / "none", "journald", sent)
    assert told([by_journalctl(one) for one in sent]) == text
    # With no file at all, systemd gives the journal what stands on standard error.
    for lines in (objects, (tmp_path / "text").read_bytes().splitlines()):
        assert told([by_journalctl(b"MESSAGE=" + one[:4000] + b"\n") for one in lines]) == text


@pytest.mark.parametrize("name", ["time", "__REALTIME_TIMESTAMP"])
@pytest.mark.parametrize("value", [None, "", "x", [1], [-1], {}, 1e400, 10**30])
def test_an_object_of_another_program_is_about_no_mail(name: str, value: object) -> None:
    said = {name: value, "message": "id=4ZxW", "MESSAGE": [300], "LAMSON_LOGGER": "lamson.mail"}
    assert own_log.parse(json.dumps(said).encode()) is None
    assert own_log.parse(b"[" * 10_000) is None
    assert own_log.parse(b'{"a":' * 10_000) is None


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
