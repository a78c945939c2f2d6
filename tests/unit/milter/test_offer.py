"""lamson_milter.offer: what a client sees of the filters, and what Postfix queues."""

from __future__ import annotations

import importlib
from itertools import count
from typing import TYPE_CHECKING

import pytest

from lamson.app import Application
from lamson.settings.model import Settings
from lamson.smtp.envelope import Peer
from lamson_milter.offer import Offer, offer, rules_for_offers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Offering = Callable[..., Offer]

QUEUE_ID = "4bYmCz0R3Dz1Xy"
RAW = b"Subject: Hello\r\nX-Tag: 1\r\nX-Tag: 2\r\n\r\nHi there.\r\n"
SOURCE = """
from lamson_milter import *

@filter_connection
def connection(client):
    known = {"192.0.2.44": Defer("4.7.1", "later"), "192.0.2.66": Reject("5.7.1", "go away")}
    return known.get(client.peer.addr)

@filter_sender
def sender(mail):
    return Reject("5.7.1", "not from there") if mail.sender.endswith("@bad.test") else None

@filter_recipient("bad@(host)")
def recipient(mail, host):
    return Reject("5.7.1", "not you")

@filter_message("(user)@(host)", body=2)
def message(message, user, host):
    if user == "raise":
        raise ZeroDivisionError
    message.add_header("X-Seen", f"{len(message.body)} {message.is_truncated}")
    message.delete_header("X-Tag", 2)
    message.replace_body("new")
    message.add_recipient("more@test.com")
    message.change_sender("other@example.com")
    return {"hold": Quarantine("look"), "drop": Discard, "late": Defer()}.get(user)
"""
_numbers = count(1)


@pytest.fixture
def offering(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Offering:
    name = f"filters_that_are_offered_{next(_numbers)}"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    importlib.invalidate_caches()
    monkeypatch.syspath_prepend(str(tmp_path))
    settings = Settings(
        handlers=[],
        filters=[name],
        run_dir=tmp_path / "run",
        route_defaults={"host": r"test\.com", "user": "[a-z]+"},
    )
    settings.run_dir.mkdir()
    rules = rules_for_offers(Application(tmp_path, settings))

    def make(
        *users: str, sender: str = "zed@sender.test", addr: str = "192.0.2.1", raw: bytes = RAW
    ) -> Offer:
        recipients = [f"{user}@test.com" for user in users]
        peer = Peer(name="client.test", addr=addr)
        return offer(rules, sender, recipients, raw, peer=peer, queue_id=QUEUE_ID)

    return make


def test_all_is_well(offering: Offering) -> None:
    offered = offering("one", "bad")
    assert str(offered.connect) == "250 2.0.0 Ok"
    assert offered.mail is not None
    assert offered.mail.is_positive
    assert {who: reply.code for who, reply in offered.rcpt.items()} == {
        "one@test.com": 250,
        "bad@test.com": 550,
    }
    assert str(offered.refusal) == "550 5.7.1 not you"
    queued = offered.queued
    assert queued is not None
    assert (queued.sender, queued.on_hold) == ("other@example.com", None)
    assert queued.recipients == ("one@test.com", "more@test.com")
    assert (queued["X-Seen"], queued.message.get_all("X-Tag")) == ("2 True", ["1"])
    assert queued.body == "new"
    assert queued.message.queue_id == QUEUE_ID


@pytest.mark.parametrize(
    ("addr", "connect", "mail"),
    [
        ("192.0.2.66", "554 ESMTP not accepting connections", "None"),
        ("192.0.2.44", "250 2.0.0 Ok", "451 4.7.1 later"),
    ],
)
def test_clients_that_are_refused(offering: Offering, addr: str, connect: str, mail: str) -> None:
    offered = offering("one", addr=addr)
    assert (str(offered.connect), str(offered.mail)) == (connect, mail)
    assert (offered.rcpt, offered.data, offered.queued) == ({}, None, None)


def test_a_sender_that_is_refused(offering: Offering) -> None:
    offered = offering("one", sender="zed@bad.test")
    assert str(offered.refusal) == str(offered.mail) == "550 5.7.1 not from there"
    assert offered.rcpt == {}


def test_without_a_recipient_there_is_no_message(offering: Offering) -> None:
    offered = offering("bad")
    assert (offered.data, offered.queued) == (None, None)


@pytest.mark.parametrize(
    ("user", "data", "on_hold"),
    [("hold", 250, "look"), ("drop", 250, None), ("late", 451, None)],
)
def test_verdicts_on_the_message(
    offering: Offering, user: str, data: int, on_hold: str | None
) -> None:
    offered = offering(user)
    assert offered.data is not None
    assert offered.data.code == data
    assert (offered.queued.on_hold if offered.queued else None) == on_hold


def test_what_a_filter_raises_reaches_the_test(offering: Offering) -> None:
    with pytest.raises(ZeroDivisionError):
        offering("raise")


@pytest.mark.parametrize("lines", [b"a:\n" * 16_500, b"X: " + b"y" * (2 << 20) + b"\n"])
def test_a_header_meets_the_limits_of_production(offering: Offering, lines: bytes) -> None:
    offered = offering("one", raw=lines + RAW)
    assert str(offered.data).startswith("552 5.3.4 ")
    assert offered.queued is None
