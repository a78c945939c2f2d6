"""Routes that take only proven mail: whom it is proven of, and what becomes of the rest."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from lamson.delivery.job import Job
from lamson.delivery.run import Handlers
from lamson.message.parsed import ParsedMessage
from lamson.results import OwnServer
from lamson.routing.router import Match
from lamson.routing.signing import Signed
from tests.unit.delivery.jobs import codes, states, words
from tests.unit.support import make_key, make_message, make_router

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lamson.message.request import MailRequest
    from lamson.storage.database import Database
    from lamson.storage.maildir import Maildir
    from tests.unit.delivery.jobs import Run

PROVEN = """
    @route("leave@(host)", proven=True)
    @stateless
    def leave(message, session: Session, host):
        session.execute(text("INSERT INTO note VALUES (:word)"), {"word": message.proof})
"""
BESIDE = (
    PROVEN
    + """
    @route("leave@(host)")
    def START(message, host):
        return ASKED

    @route("leave@(host)")
    def ASKED(message, host): ...
"""
)
DMARC = "dmarc=pass header.from=example.com"
SPF = "spf=pass smtp.mailfrom=zed@example.com"
DKIM_FAILS = "dkim=fail header.d=example.com"


def mail(*results: str, sender: str = "zed@example.com") -> MailRequest:
    fields = "".join(f"Authentication-Results: mx.test; {one}\r\n" for one in results)
    raw = f"{fields}From: zed@example.com\r\nSubject: x\r\n\r\nbody\r\n".encode()
    content: Any = ParsedMessage(raw, witness=OwnServer("mx.test"))
    return make_message(content, sender=sender, recipient="leave@test.com")


@pytest.mark.parametrize(
    ("results", "proof"),
    [((DMARC,), "dmarc"), (("dkim=pass header.d=mail.example.com",), "dkim")],
)
def test_proven_mail_is_taken(
    make_run: Callable[..., Run], database: Database, results: tuple[str], proof: str
) -> None:
    assert codes(make_run(PROVEN)(mail(*results))) == [250]
    assert words(database) == [proof]


@pytest.mark.parametrize(
    ("results", "sender"),
    [
        ((), "zed@example.com"),
        ((DKIM_FAILS,), "zed@example.com"),
        ((SPF,), "other@evil.example"),
        ((SPF,), ""),
        ((SPF.replace("pass", "fail"),), "zed@example.com"),
    ],
)
def test_what_nobody_vouches_for_is_kept_and_bounces_to_nobody(
    make_run: Callable[..., Run],
    database: Database,
    undeliverable: Maildir,
    results: tuple[str, ...],
    sender: str,
) -> None:
    assert codes(make_run(PROVEN)(mail(*results, sender=sender))) == [250]
    assert words(database) == []
    (key,) = undeliverable.keys()
    assert b"nothing proves its author" in (undeliverable.get(key) or b"")


def test_it_is_refused_where_the_bounce_goes_to_its_writer(
    make_run: Callable[..., Run], database: Database, undeliverable: Maildir
) -> None:
    (job,) = make_run(PROVEN)(mail(SPF))
    assert job.reply is not None
    assert str(job.reply).startswith("550 5.7.1 This address takes mail only where DMARC or DKIM")
    assert words(database) == []
    assert undeliverable.count() == 0


def test_another_route_takes_what_is_not_proven(
    make_run: Callable[..., Run], database: Database, undeliverable: Maildir
) -> None:
    run = make_run(BESIDE)
    assert codes(run(mail())) == [250]
    assert words(database) == []
    assert states(database) == {"zed@example.com": "ASKED"}
    assert codes(run(mail(DMARC))) == [250]
    assert words(database) == ["dmarc"]
    assert undeliverable.count() == 0


def test_a_person_who_has_it_run_again_is_told_and_it_is_not_kept_twice(
    tmp_path: Path, undeliverable: Maildir
) -> None:
    router = make_router(tmp_path, PROVEN)
    message = mail(SPF)
    job = Job(message, router.match("leave@test.com"), make_key(b"again"), is_again=True)
    handlers = Handlers(router, hostname="mx", undeliverable=undeliverable)
    result = handlers.begin(job)
    handlers.run(result, {}, None)
    assert result.reply.code == 550
    assert "nothing proves its author" in result.reply.text
    assert undeliverable.count() == 0


def test_a_signed_address_is_a_proof(tmp_path: Path) -> None:
    router = make_router(tmp_path, PROVEN)
    (match,) = router.match("leave@test.com")
    route = replace(match.route, signed=(("token", Signed("leave")),))
    signed = Match(route, "leave@test.com")
    message = mail()
    job = Job(message, [signed], None)
    assert job.message_for(match).proof is None
    assert job.message_for(signed).proof == "token"
    assert Job(mail(DMARC), [signed], None).message_for(signed).proof == "dmarc"
