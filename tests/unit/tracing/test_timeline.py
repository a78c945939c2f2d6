"""lamson.tracing.timeline: one life out of several logs, whichever of its ids is asked for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from lamson.tracing import lines
from lamson.tracing.timeline import Timeline
from lamson.tracing.wanted import Asked

if TYPE_CHECKING:
    from pathlib import Path

    from lamson.tracing.event import Event

IN, OUT, BOUNCE, OTHER = "4ZxWQk1qg7z3Bq", "4ZxWQk2qg7z3Bq", "7C0E2A1B5F", "7C0E2A1B60"
POSTFIX = f"""\
Feb 28 12:24:03 mx postfix/smtpd[1]: {IN}: client=mail.e.example[192.0.2.7]
Feb 28 12:24:03 mx postfix/cleanup[1]: {IN}: message-id=<1@e.example>
Feb 28 12:24:03 mx postfix/qmgr[1]: {IN}: from=<Zed@e.example>, size=812, nrcpt=1 (queue active)
Feb 28 12:24:03 mx postfix/lmtp[1]: {IN}: to=<users@test.com>, relay=127.0.0.1[127.0.0.1]:8823, \
delay=0.1, delays=0.1/0/0/0, dsn=2.0.0, status=sent (250 2.0.0 Ok)
Feb 28 12:24:03 mx postfix/qmgr[1]: {IN}: removed
Feb 28 12:24:03 mx postfix/smtpd[1]: {OUT}: client=localhost[127.0.0.1]
Feb 28 12:24:03 mx postfix/cleanup[1]: {OUT}: message-id=<2@test.com>
Feb 28 12:24:03 mx postfix/smtp[1]: {OUT}: to=<zed@e.example>, relay=mx.e.example[192.0.2.8]:25, \
delay=1, delays=0/0/1/0, dsn=5.1.1, status=bounced (550 no; queued as {OTHER})
Feb 28 12:24:04 mx postfix/bounce[1]: {OUT}: sender non-delivery notification: {BOUNCE}
Feb 28 12:24:04 mx postfix/lmtp[1]: {BOUNCE}: to=<bounces+x@test.com>, relay=127.0.0.1[127.0.0.1]\
:8823, delay=0.1, delays=0.1/0/0/0, dsn=2.0.0, status=sent (250 2.0.0 Ok)
Feb 28 12:24:05 mx postfix/smtpd[1]: {OTHER}: client=evil.example[192.0.2.66]
Feb 28 12:24:05 mx postfix/cleanup[1]: {OTHER}: message-id=<{IN}@evil.example>
Feb 28 12:24:06 mx postfix/smtpd[1]: NOQUEUE: reject: RCPT from e.example[192.0.2.7]: 550 5.1.1 \
<nobody@test.com>: unknown; from=<zed@E.example> to=<nobody@test.com> proto=ESMTP helo=<x>
"""
OWN = f"""\
{{at}} received id={IN} sender=Zed@e.example recipients=1
{{at}} handled id={IN} recipient=users@test.com handler=app.START sent=1
{{at}} submitted id={IN} message_id=<2@test.com> recipients=zed@e.example \
reply="250 2.0.0 Ok: queued as {OUT}"
{{at}} outcome id={BOUNCE} kind=failed recipient=zed@e.example
{{at}} received id={OTHER} sender=eve@evil.example recipients=1
"""


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    from datetime import UTC, datetime

    then = datetime(2026, 2, 28, 12, 24, 3).timestamp()
    at = datetime.fromtimestamp(then, UTC).isoformat(timespec="milliseconds")
    # The older half was rotated.
    old, new = POSTFIX.splitlines(True)[:6], POSTFIX.splitlines(True)[6:]
    (tmp_path / "mail.log.1").write_text("".join(old))
    (tmp_path / "mail.log").write_text("".join(new))
    (tmp_path / "lamson.log").write_text(OWN.format(at=at))
    for number, path in enumerate(("mail.log.1", "mail.log", "lamson.log")):
        os.utime(tmp_path / path, (then + number, then + number))
    return tmp_path


def timeline(logs: Path, asked: str, limit: int = 10) -> Timeline:
    made = Timeline(
        Asked.of(asked),
        lines.files(logs / "mail.log"),
        lines.files(logs / "lamson.log"),
        lambda ids: [],
        limit=limit,
    )
    made.find()
    return made


def told(events: list[Event]) -> list[tuple[str, str]]:
    return [(event.id, event.what) for event in events]


@pytest.mark.parametrize("asked", [IN, OUT, BOUNCE, "<1@e.example>", "<2@test.com>", "2@test.com"])
def test_any_id_gives_the_whole_life_in_order(logs: Path, asked: str) -> None:
    found = timeline(logs, asked)
    assert set(found.ids) == {IN, OUT, BOUNCE}
    assert told(found.events) == [
        (IN, "smtpd"),
        (IN, "cleanup"),
        (IN, "qmgr"),
        (IN, "received"),
        (IN, "handled"),
        (IN, "submitted"),
        (IN, "lmtp"),
        (IN, "qmgr"),
        (OUT, "smtpd"),
        (OUT, "cleanup"),
        (OUT, "smtp"),
        (BOUNCE, "outcome"),
        (OUT, "bounce"),
        (BOUNCE, "lmtp"),
    ]


def test_an_address_gives_its_newest_mail(logs: Path) -> None:
    found = timeline(logs, "ZED@E.example")
    assert set(found.ids) == {IN, OUT, BOUNCE}
    assert told(found.events)[-1] == ("NOQUEUE", "smtpd"), "what was refused is there too"
    assert not found.is_cut
    assert timeline(logs, "zed@e.example", limit=1).is_cut
    assert timeline(logs, "ed@e.example").events == []


def test_what_a_stranger_named_after_a_mail_is_no_part_of_it(logs: Path) -> None:
    """His Message-ID has our queue id in it, and his server's reply another one."""
    assert OTHER not in timeline(logs, IN).ids
    assert timeline(logs, OTHER).ids == [OTHER]


def test_nothing_is_known_of_another(logs: Path) -> None:
    found = timeline(logs, "4ZxWQk9qg7z3Bq")
    assert found.events == []
    assert found.problems == {}


def test_a_log_that_cannot_be_read_is_told_of(logs: Path) -> None:
    (logs / "mail.log.2.gz").write_bytes(b"no gzip")
    found = timeline(logs, IN)
    assert len(found.events) == 14
    assert list(found.problems) == [str(logs / "mail.log.2.gz")]


def test_how_much_is_kept_is_bounded(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lamson.tracing.timeline.MOST_EVENTS", 5)
    found = timeline(logs, IN)
    assert len(found.events) == 5
    assert found.is_cut
