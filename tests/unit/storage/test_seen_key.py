"""lamson.storage.seen_key"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from lamson.smtp.envelope import Envelope, Peer, QueueId
from lamson.storage import seen_key
from lamson.storage.seen_key import Source

LONG = Envelope("a@b", ("c@d",), Peer(ident=QueueId("4QzXwN0Jk1z5tVb")))
SHORT = Envelope("a@b", ("c@d",), Peer(ident=QueueId("3F2A19C0B7")))

SMTPD = (
    b"Received: from client.example (client.example [192.0.2.1])\r\n"
    b"\t(using TLSv1.3 with cipher X (256/256 bits))\r\n\t(No client certificate requested)\r\n"
    b"\tby mail.example (Postfix) with ESMTPS id 3F2A19C0B7\r\n"
    b"\tfor <c@d>; Sun, 22 Nov 2026 20:00:00 +0100 (CET)\r\n"
)
PICKUP = (
    b"Received: by mail.example (Postfix, from userid 0)\r\n"
    b"\tid 3F2A19C0B7; Sun, 22 Nov 2026 19:00:00 +0000 (UTC)\r\n"
)
STAMPED = datetime(2026, 11, 22, 19, tzinfo=UTC)
HEADER = (
    b"From: Zed <z@e.example>\r\nto: c@d\r\nSubject: a long\r\n one\r\n"
    b"Date: Sun, 22 Nov 2026 19:00:00 +0000\r\nMessage-ID: <1@e.example>\r\n"
)
BODY = b"\r\nbody\r\n"
MESSAGE = HEADER + BODY


def source(envelope: Envelope, content: bytes) -> Source:
    found = seen_key.source(envelope, content)
    assert found is not None
    return found


def test_a_long_queue_id_is_the_source() -> None:
    found = source(LONG, MESSAGE)
    assert found.id == b"queue-id:4QzXwN0Jk1z5tVb"
    assert found.microseconds == LONG.queue_id.microseconds


@pytest.mark.parametrize("stamp", [SMTPD, PICKUP, SMTPD.replace(b"\r\n", b"\n")])
@pytest.mark.parametrize("above", [b"", b"Return-Path: <a@b>\r\nDelivered-To: c@d\r\n"])
def test_else_a_message_that_postfix_stamped_is_its_own_source(stamp: bytes, above: bytes) -> None:
    first = source(SHORT, above + stamp + MESSAGE)
    assert first.id != source(SHORT, above + stamp + MESSAGE + b"more\r\n").id
    assert first.microseconds == int(STAMPED.timestamp()) * 1_000_000


@pytest.mark.parametrize(
    "date", [b"", b"; ", b"; yesterday", b"; Sun, 99 Nov 99999999 19:00:00 +0000", b"; \xff"]
)
def test_a_date_that_is_none_is_the_first_time_of_all(date: bytes) -> None:
    stamp = PICKUP.partition(b";")[0] + date + b"\r\n"
    assert source(SHORT, stamp + MESSAGE).microseconds == 0


@pytest.mark.parametrize(
    "content",
    [
        MESSAGE,
        b"",
        b"Message-ID: <x@y>\r\n" + SMTPD + MESSAGE,
        b"Received: from x (x [192.0.2.1])\r\n\tby other.example (Exim) with SMTP\r\n" + MESSAGE,
        b"X-Note: (Postfix)\r\n" + MESSAGE,
    ],
)
def test_without_postfix_on_top_there_is_no_source(content: bytes) -> None:
    assert seen_key.source(SHORT, content) is None


def test_the_key_depends_on_all_three_and_on_their_borders() -> None:
    keys = {
        Source(id, 0, b"").key(sender, recipient)
        for id in (b"1", b"2")
        for sender in ("a", "ab", "")
        for recipient in ("c", "bc", "a")
    }
    assert len({key.entry for key in keys}) == len({key.without_time for key in keys}) == 18


def test_keys_are_in_the_order_of_their_times() -> None:
    times = [-1, 1, 1 << 40, 1795896895844979, 1 << 90]
    entries = [Source(b"%d" % time, time, b"").key("a", "b").entry for time in times]
    assert entries == sorted(entries)
    assert {len(entry) for entry in entries} == {24}


@pytest.mark.parametrize(
    "again",
    [
        pytest.param(SMTPD + PICKUP + SMTPD + MESSAGE, id="postsuper -r"),
        pytest.param(b"Return-Path: <a@b>\r\nDelivered-To: x@d\r\n" + MESSAGE, id="flags=DRO"),
        pytest.param(
            b"X-Spam: no\r\n" + MESSAGE.replace(b" a long\r\n one", b" a long one"), id="fold"
        ),
        pytest.param(MESSAGE.replace(b"\r\nto:", b"\r\nTo:"), id="case"),
    ],
)
def test_what_postfix_adds_between_attempts_changes_nothing(again: bytes) -> None:
    assert source(LONG, again) == source(LONG, SMTPD + MESSAGE)


@pytest.mark.parametrize(
    ("what", "other"),
    [
        (b"Zed", b"Joe"),
        (b"to: c@d\r\n", b""),
        (b"a long\r\n one", b"a long\r\n two"),
        (b"+0000", b"+0001"),
        (b"<1@", b"<2@"),
        (b"\r\n\r\nbody", b"\r\n\r\nBody"),
        (b"body\r\n", b"body\r\n\r\n"),
    ],
)
def test_another_content_has_another_key_under_the_same_entry(what: bytes, other: bytes) -> None:
    one = source(LONG, MESSAGE).key("a@b", "c@d")
    two = source(LONG, MESSAGE.replace(what, other)).key("a@b", "c@d")
    assert one.entry == two.entry
    assert one.content != two.content
    assert one.name != two.name
    assert one.entry != one.other_entry != two.other_entry


@pytest.mark.parametrize("content", [b"", b"\r\n", b"\n\n", b"no end", BODY, b"From:\n" * 9])
def test_whatever_the_message_is_it_has_a_content(content: bytes) -> None:
    assert len(source(LONG, content).content) == 16


FOLDED = b"Subject:\r\n\tone\r\n  two\r\nTO: a@b\r\nto: c@d\r\nFrom:" + b" x\r\n" * 5000


@pytest.mark.parametrize(
    ("content", "digest"),
    [
        (SMTPD + MESSAGE, "58d1285c8eb3c6e621d086b0d5590ea4"),
        (FOLDED + BODY, "85f53a5e80a910e5505be0957bc72745"),
        (b"Subject: of no message" + b"\n" + b"date: x" * 9000, "44e604404553ce1830f6acdc17d1740f"),
        (b"From: " + b"a\r\n " * 9000 + b"b\n\n", "0e2d0fa0319b73ff99656d0047523fb0"),
    ],
)
def test_a_content_is_what_it_was_for_those_that_are_in_the_database(
    content: bytes, digest: str
) -> None:
    assert source(LONG, content).content.hex() == digest


def test_the_body_begins_at_the_first_empty_line_whatever_its_end() -> None:
    other = b"Subject: x\n\nFrom: me\r\n\r\n"
    assert source(LONG, b"A: b\n" + other).content == source(LONG, other).content
    assert source(LONG, other + b"x").content != source(LONG, other).content


def test_the_name_of_what_was_kept_is_all_that_counts() -> None:
    one = seen_key.kept_source("1.M2P3.mx").key("a@b", "c@d")
    assert one == seen_key.kept_source("1.M2P3.mx").key("a@b", "c@d")
    assert one != seen_key.kept_source("2.M2P3.mx").key("a@b", "c@d")
