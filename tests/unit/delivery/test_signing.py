"""lamson.delivery.signing, on both databases: what a handler signs and keeps, and gets back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lamson.message.request import MailRequest
from lamson.routing.signing import Signed, Signer
from lamson.smtp.envelope import Envelope, Recipient
from lamson.storage.pending import BLOCK, Room
from lamson.storage.tables import outbox, pending
from tests.unit.delivery.jobs import codes, rows, words
from tests.unit.support import make_message

if TYPE_CHECKING:
    from collections.abc import Callable

    from lamson.storage.database import Database
    from tests.unit.delivery.jobs import Run

SIGNER = Signer(lambda: (b"k" * 32,))
POST = b"From: z@e.example\r\nSubject: a post\r\n\r\n%s\r\n"
MODERATE = """
    MODERATE = Signed("moderate", days=3, once=True)

    @stateless
    @route("list@(host)")
    def POST(message, delivery: Delivery, host):
        token = delivery.sign("moderate", "post", keep=True)
        sender = f"ok-{token}@{host}"
        delivery.send(MailResponse(to="m@test.com", sender=sender, subject="ok?", body="x"))
        if message.body.startswith("break"):
            raise RuntimeError("broken")

    @stateless
    @route("ok-(token)@(host)", token=MODERATE)
    def OK(message, delivery: Delivery, session: Session, token, host):
        post = delivery.pending
        assert post is delivery.pending
        word = f"{token} {post.subject} {post.sender} {post.recipient} {post.body.strip()}"
        session.execute(text("INSERT INTO note VALUES (:word)"), {"word": word})
        delivery.forward("joe@example.com")
        if message.body.startswith("break"):
            raise RuntimeError("broken")

    @stateless
    @route("peek-(token)@(host)", token=Signed("peek", days=1))
    @route("peek-(what)@(host)", what="none|keep")
    def PEEK(message, delivery: Delivery, session: Session, host, token="", what=""):
        if what == "keep":
            delivery.sign("peek", keep=message)
        word = f"{token} {delivery.pending}"
        session.execute(text("INSERT INTO note VALUES (:word)"), {"word": word})

    @stateless
    @route("release-(token)@(host)", token=MODERATE)
    def RELEASE(message, delivery: Delivery, token, host):
        delivery.forward("joe@example.com", message=delivery.pending, headers={"List-Id": "<l>"})
        delivery.forward("ann@example.com", headers={"List-Id": "<l>"})

    @stateless
    @route("long-(size)@(host)", size="[0-9]+")
    def LONG(message, delivery: Delivery, size, host):
        sender = "x" * int(size) + delivery.sign("peek", "p" * 12) + "@" + host
        delivery.send(MailResponse(to="a@b.example", sender=sender, subject="x", body="x"))
"""


def mail(local: str, content: bytes = POST % b"hello") -> Any:
    return make_message(content, recipient=f"{local}@test.com")


@pytest.fixture
def run(make_run: Callable[..., Run]) -> Run:
    return make_run(MODERATE, signer=SIGNER)


def asked(database: Database) -> str:
    """The local part that the moderator is asked by."""
    (row,) = rows(database, outbox)
    return str(row.sender.partition("@")[0])


def test_the_message_waits_for_who_comes_with_the_token(run: Run, database: Database) -> None:
    assert codes(run(mail("list"))) == [250]
    local = asked(database)
    assert len(local) < 64
    assert codes(run(mail(local.upper(), POST % b"break"))) == [451]
    assert len(rows(database, pending)) == 1
    assert codes(run(mail(local))) == [250]
    assert words(database) == ["post a post zed@example.com list@test.com hello"]
    assert rows(database, pending) == [], "it is used up"
    assert codes(run(mail(local))) == [250]
    assert len(words(database)) == 1, "nobody handled it: it is kept, as no bounce is safe"
    (_, forwarded) = rows(database, outbox)
    assert b"Delivered-To" not in forwarded.content, "the token is for nobody else"


def test_where_the_handler_fails_nothing_was_kept(run: Run, database: Database) -> None:
    assert codes(run(mail("list", POST % b"break"))) == [451]
    assert rows(database, pending) == []


def test_only_a_token_that_counts_once_is_waited_for(
    run: Run, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """Two of the same payload, signed within an hour, are the same where it counts often."""
    assert codes(run(mail("peek-keep"))) == [451]
    assert "cannot wait for a token of 'peek', which counts more than once" in caplog.text
    assert rows(database, pending) == []


def test_without_a_message_there_is_none(run: Run, database: Database) -> None:
    token = SIGNER.sign(Signed("peek", days=1), "x")
    assert codes(run(mail("peek-none"), mail(f"peek-{token}"))) == [250, 250]
    assert words(database) == [" None", "x None"]


def test_of_each_message_that_waits_the_right_one_is_found(run: Run, database: Database) -> None:
    for body in (b"first", b"second"):
        run(mail("list", POST % body))
    locals_ = [str(row.sender.partition("@")[0]) for row in rows(database, outbox)]
    assert codes(run(*map(mail, reversed(locals_)))) == [250, 250]
    assert [word.rpartition(" ")[2] for word in words(database)] == ["first", "second"]


def test_where_too_much_waits_postfix_is_told_to_come_again(
    make_run: Callable[..., Run], database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    run = make_run(MODERATE, signer=SIGNER, room=Room(2 * BLOCK))
    jobs = [job for _ in range(3) for job in run(mail("list"))]
    assert codes(jobs) == [250, 250, 451]
    assert jobs[2].reply is not None
    assert jobs[2].reply.line == "451 4.3.1 Insufficient storage; try again later"
    assert "signing.max_pending are used" in caplog.text
    assert len(rows(database, pending)) == 2
    assert len(rows(database, outbox)) == 2


def test_an_address_that_others_would_not_take_is_not_sent(
    run: Run, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    assert codes(run(mail("long-24"), mail("long-25"))) == [250, 451]
    assert "has 65 octets before the @" in caplog.text
    assert "sign a shorter payload" in caplog.text
    assert len(rows(database, outbox)) == 1


def test_what_waited_is_forwarded_as_it_came(run: Run, database: Database) -> None:
    utf8 = "Subject: Zürich\r\n\r\nbody\r\n".encode()
    post = MailRequest(
        utf8,
        Envelope("zed@test.com", ("list@test.com",), smtputf8=True, id="4id"),
        Recipient("list@test.com"),
    )
    assert codes(run(post)) == [250]
    token = asked(database).removeprefix("ok-")
    assert codes(run(mail(f"release-{token}"))) == [250]
    _, released, other = rows(database, outbox)
    assert (released.sender, released.smtputf8) == ("zed@test.com", True)
    assert released.content.startswith(b"List-Id: <l>\r\n")
    assert released.content.endswith(utf8)
    assert b"hello" in other.content
    assert b"Delivered-To" not in released.content + other.content, "neither tells the token"
