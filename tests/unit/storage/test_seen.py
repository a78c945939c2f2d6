"""lamson.storage.seen"""

import pytest

from lamson.smtp.envelope import Envelope, Peer, QueueId
from lamson.storage import seen
from lamson.storage.database import Database

LONG = Envelope("a@b", ("c@d",), Peer(ident=QueueId("4QzXwN0Jk1z5tVb")))
SHORT = Envelope("a@b", ("c@d",), Peer(ident=QueueId("3F2A19C0B7")))

SMTPD = (
    b"Received: from client.example (client.example [192.0.2.1])\r\n"
    b"\t(using TLSv1.3 with cipher X (256/256 bits))\r\n\t(No client certificate requested)\r\n"
    b"\tby mail.example (Postfix) with ESMTPS id 3F2A19C0B7\r\n"
    b"\tfor <c@d>; Sun, 22 Nov 2026 19:00:00 +0000 (UTC)\r\n"
)
PICKUP = (
    b"Received: by mail.example (Postfix, from userid 0)\r\n\tid 3F2A19C0B7; Sun, 22 Nov 2026\r\n"
)
BODY = b"Subject: x\r\n\r\nbody\r\n"


def test_a_long_queue_id_is_the_source() -> None:
    assert seen.source_id(LONG, BODY) == b"queue-id:4QzXwN0Jk1z5tVb"


@pytest.mark.parametrize("stamp", [SMTPD, PICKUP, SMTPD.replace(b"\r\n", b"\n")])
@pytest.mark.parametrize("above", [b"", b"Return-Path: <a@b>\r\nDelivered-To: c@d\r\n"])
def test_else_a_message_that_postfix_stamped_is_its_own_source(stamp: bytes, above: bytes) -> None:
    first = seen.source_id(SHORT, above + stamp + BODY)
    assert first is not None
    assert first != seen.source_id(SHORT, above + stamp + BODY + b"more\r\n")


@pytest.mark.parametrize(
    "content",
    [
        BODY,
        b"",
        b"Message-ID: <x@y>\r\n" + SMTPD + BODY,
        b"Received: from x (x [192.0.2.1])\r\n\tby other.example (Exim) with SMTP\r\n" + BODY,
        b"X-Note: (Postfix)\r\n" + BODY,
    ],
)
def test_without_postfix_on_top_there_is_no_source(content: bytes) -> None:
    assert seen.source_id(SHORT, content) is None


def test_the_digest_depends_on_all_three_and_on_their_borders() -> None:
    digests = {
        seen.digest(source, sender, recipient)
        for source in (b"1", b"2")
        for sender in ("a", "ab", "")
        for recipient in ("c", "bc", "a")
    }
    assert len(digests) == 18


def test_a_key_can_be_claimed_once(database: Database) -> None:
    with database.begin() as connection:
        assert seen.claim(connection, [b"1", b"2"], 0.0) == {b"1", b"2"}
    with database.begin() as connection:
        assert seen.claim(connection, [b"2", b"3"], 0.0) == {b"3"}
        assert seen.claim(connection, [], 0.0) == set()


def test_a_claim_can_be_taken_back(database: Database) -> None:
    with database.begin() as connection:
        seen.claim(connection, [b"1", b"2"], 0.0)
        seen.forget(connection, [b"1"])
        assert seen.claim(connection, [b"1", b"2"], 0.0) == {b"1"}


def test_old_keys_are_purged(database: Database) -> None:
    with database.begin() as connection:
        seen.claim(connection, [b"old"], 1000.0)
        seen.claim(connection, [b"new"], 2000.0)
        assert seen.purge(connection, 1500.0 + seen.KEEP) == 1
        assert seen.claim(connection, [b"old", b"new"], 0.0) == {b"old"}
