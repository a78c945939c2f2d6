"""`check -deliver`: a probe goes all the way, and what arrives is held against what was sent.

In through smtpd, by Postfix's transport to Lamson, where a reserved address answers it; the answer
goes out through the outbox and submission to another reserved address, and Lamson notes it again.
So what nobody thought of shows as well: a table, a filter or a limit that changes our mail. It
waits for a bounded time, and says what did not arrive, with what Postfix's queue has of it.
"""

from __future__ import annotations

import smtplib
import time
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy.exc import SQLAlchemyError

from lamson import private
from lamson.delivery.probe import record_name
from lamson.errors import LamsonError
from lamson.message import probe
from lamson.net.endpoint import split_host_port
from lamson.postfix import ours
from lamson.postfix.checks import blame
from lamson.postfix.checks.answers import TIMEOUT, shown, why
from lamson.postfix.finding import Finding, Untried
from lamson.postfix.queue import waiting
from lamson.routing.reserved import Way
from lamson.settings.reserved import reserved_of
from lamson.storage import failure, probes, undeliverable
from lamson.storage.database import Database
from lamson.storage.maildir import Maildir

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamson.postfix.site import Site
    from lamson.routing.reserved import Reserved, Token

PATIENCE = 30.0  # seconds
_NEWEST, _HEAD = 100, 8192  # messages, and octets of each, that are looked at
_PAUSE = 0.2  # seconds between two looks
_STRANGER = "lamson-probe@relay-probe.invalid"
_OUR_LOG = "look for {name} in Lamson's log and in Postfix's"


class _Letter(NamedTuple):
    """A letter on one leg: the address it was sent to, and how it was sent."""

    to: str
    sent: probe.Caught


def findings(site: Site, smtpd: str, patience: float = PATIENCE) -> Iterator[Finding | Untried]:
    """What did not arrive, or otherwise than it was sent. ``smtpd`` is ``host:port``."""
    domain = min(site.domains.listed, default="")
    if not domain:
        yield _untried("no domain of ours is known by its name")
        return
    if site.settings.database is None:
        yield _untried("the project has no database, and so sends no mail")
        return
    reserved = reserved_of(site.settings)
    token = reserved.token(Way.IN)
    try:
        to = reserved.address(token, domain)
    except ValueError as error:
        yield _untried(f"{error}: lamson start makes one, and whoever checks has to read it")
        return
    sent = probe.letter(token.name, _STRANGER, to)
    database = Database(site.settings.database)
    try:
        database.check()
        refused = list(_handed_in(site, smtpd, to, sent))
        yield from refused
        if not refused:
            letter = _Letter(to, probe.Caught.of("", to, sent))
            yield from _followed(site, database, reserved, token, letter, patience)
    except (LamsonError, SQLAlchemyError) as error:
        yield _untried(f"the database does not tell: {failure.brief(error)}")
    finally:
        database.close()


def _handed_in(site: Site, smtpd: str, to: str, content: bytes) -> Iterator[Finding | Untried]:
    """Sent with the null sender, so that whatever becomes of it, nobody gets a bounce."""
    try:
        with smtplib.SMTP(*split_host_port(smtpd), timeout=TIMEOUT) as client:
            client.ehlo("lamson-check.invalid")
            options = ["BODY=8BITMIME"] if client.has_extn("8bitmime") else []
            for code, text in (client.mail("", options), client.rcpt(to)):
                if code >= 300:
                    yield _refusal(site, code, shown(text), to)
                    return
            code, text = client.data(content.replace(b"\n", b"\r\n"))
            if code >= 300:
                yield Finding(
                    "probe-is-refused",
                    f"smtpd answers {code} to a message for {to}: {shown(text)}",
                    "mail for us is refused for what is in it, or for its size",
                    "by hand: look for NOQUEUE, reject and milter-reject in Postfix's log",
                )
    except (OSError, UnicodeError, smtplib.SMTPException) as error:
        yield _untried(f"no smtpd answers on {smtpd}: {why(error)}")


def _refusal(site: Site, code: int, text: str, to: str) -> Finding | Untried:
    is_unknown = "5.1.1" in text or "User unknown" in text
    if is_unknown and not ours.has_socketmap(site) and not site.settings.milter.check_recipients:
        return _untried("Postfix reads tables, in which reserved addresses are not")
    if is_unknown:
        return Finding(
            "probe-is-refused",
            f"smtpd answers {code} for the reserved address {to}: {text}",
            "the service does not know its own key: it has another one than this check, or has"
            " stood since before there was one",
            "lamson restart; several nodes need one milter.secret",
        )
    return _untried(f"smtpd answers {code} for the reserved address {to}: {text}")


def _followed(
    site: Site,
    database: Database,
    reserved: Reserved,
    token: Token,
    letter: _Letter,
    patience: float,
) -> Iterator[Finding]:
    name, domain = token.name, letter.to.rpartition("@")[2]
    until = time.monotonic() + patience
    arrived = _awaited(database, (record_name(name, Way.IN),), until)
    if arrived is None:
        yield Finding(
            "probe-did-not-arrive",
            f"a message to {letter.to} was taken by smtpd, and did not get to Lamson within"
            f" {patience:g} s{waiting(site, letter.to)}",
            "mail for us waits, or goes elsewhere",
            "by hand: " + _OUR_LOG.format(name=name),
        )
        return
    yield from _otherwise(site, letter, arrived, "in")
    to, sender = (
        reserved.address(token._replace(way=way), domain) for way in (Way.OUT, Way.BOUNCE)
    )
    names = record_name(name, Way.OUT), record_name(name, Way.BOUNCE)
    answer = _awaited(database, names, until)
    if answer is not None and answer.recipient.lower() == to.lower():
        sent = probe.Caught.of(sender, to, probe.letter(name, sender, to))
        yield from _otherwise(site, _Letter(to, sent), answer, "out")
        return
    said = waiting(site, to)
    if answer is not None:
        said = f"; it came back: {blame.of_bounce(answer.body)}"
    elif not said:
        said = _kept_or_waiting(site, database, probe.message_id(name, domain))
    yield Finding(
        "answer-did-not-arrive",
        f"the answer from {sender} to {to} did not come back to Lamson within {patience:g} s{said}",
        "replies and forwards are refused, wait, or go elsewhere",
        "by hand: " + _OUR_LOG.format(name=name) + ", and into run/undeliverable",
    )


def _kept_or_waiting(site: Site, database: Database, message_id: str) -> str:
    """What the way out has to say of the answer, to be added to a sentence; else nothing.

    One that submission has refused for good is taken out of run/undeliverable again.
    """
    with database.read() as connection:
        error = probes.error_of_answer(connection, message_id)
    if error is not None:
        return f"; it waits in the outbox: {error}"
    run_dir = site.settings.run_dir
    with private.as_owner_of(run_dir):
        kept = Maildir(run_dir / "undeliverable")
        for key in kept.keys()[-_NEWEST:]:
            stored = kept.get(key) or b""
            if message_id.encode() in stored[:_HEAD]:
                kept.remove(key)
                return f"; {undeliverable.read(stored).reason}"
    return ""


def _otherwise(site: Site, letter: _Letter, arrived: probe.Caught, way: str) -> Iterator[Finding]:
    for one in letter.sent.differences(arrived):
        cause, fix = blame.of(site, one, letter.sent, way)
        yield Finding(
            f"arrived-otherwise-{way}",
            f"{one.what} was sent as {one.sent}, and arrived as {one.arrived}",
            f"mail that comes {way} is changed on the way{cause}",
            fix,
        )


def _awaited(database: Database, names: tuple[str, ...], until: float) -> probe.Caught | None:
    """The first of these that is there, as soon as it is; None where time runs out."""
    while True:
        with database.read() as connection:
            for name in names:
                if (found := probes.read(connection, name)) is not None:
                    return probe.Caught.from_text(found)
        if time.monotonic() >= until:
            return None
        time.sleep(_PAUSE)


def _untried(why: str) -> Untried:
    return Untried("untried-delivery", "whether mail goes all the way", why)
