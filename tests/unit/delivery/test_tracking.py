"""lamson.delivery.tracking, and what of a Delivery's mail is tracked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lamson.delivery.context import Delivery
from lamson.delivery.tracking import Tracking, list_of
from lamson.errors import LamsonError
from lamson.message.response import MailResponse
from lamson.routing.bounces import BounceAddresses
from lamson.routing.signing import Signer
from tests.unit.support import make_message

if TYPE_CHECKING:
    from collections.abc import Sequence

OURS = {"test.com", "lists.test"}.__contains__


def tracking(keys: Sequence[bytes] = (b"k" * 32,), **options: Any) -> Tracking:
    addresses = BounceAddresses(Signer(lambda: keys))
    return Tracking(addresses, is_ours=OURS, **{"domains": ["test.com"], **options})


def delivery(tracking: Tracking | None, **more: Any) -> Delivery:
    return Delivery(
        make_message(**more), digest=None, hostname="mx", is_ours=OURS, tracking=tracking
    )


def response(sender: str = "l@lists.test") -> MailResponse:
    return MailResponse(to="a@b.example", sender=sender, subject="Hi", body="x")


@pytest.mark.parametrize(
    ("is_default", "track", "sender", "is_tracked"),
    [
        (False, None, None, False),
        (False, True, None, True),
        (True, None, None, True),
        (True, False, None, False),
        (True, None, "l@test.com", False),
        (True, None, "", False),
        (True, False, "", False),
    ],
)
def test_what_is_tracked(
    is_default: bool, track: bool | None, sender: str | None, is_tracked: bool
) -> None:
    one = delivery(tracking(is_default=is_default))
    one.send(response(), sender=sender, track=track)
    one.forward("a@b.example", sender=sender, track=track)
    one.reply(body="x", envelope_sender=sender, track=track)
    for row in one.outgoing:
        assert row.sender.startswith("bounces+") == is_tracked
        assert bool(row.envid) == is_tracked
        assert (row.tracked is not None) == is_tracked
        assert row.notify == ("FAILURE,DELAY" if is_tracked else "")
    if not is_tracked:
        assert one.outgoing[2].sender == (sender or "")


def test_the_domain_is_that_of_from_where_it_is_ours() -> None:
    one = delivery(tracking())
    one.send(response("l@lists.test"), track=True)
    one.send(response("l@elsewhere.example"), track=True)
    one.forward("a@b.example", track=True)
    domains = [row.sender.partition("@")[2] for row in one.outgoing]
    assert domains == ["lists.test", "test.com", "test.com"]
    assert len({row.sender for row in one.outgoing}) == 3


def test_a_bounce_that_is_forwarded_keeps_its_null_sender_by_default() -> None:
    one = delivery(tracking(is_default=True), sender="")
    one.forward("a@b.example")
    one.forward("a@b.example", track=True)
    assert [bool(row.envid) for row in one.outgoing] == [False, True]
    assert one.outgoing[0].sender == ""


def test_what_is_kept_of_it() -> None:
    one = delivery(tracking())
    one.module = "app"
    mail = response()
    mail["List-Id"] = "The users <Users.test.com>"
    id = one.send(mail, to=["a@b.example", "A@b.example", "c@d.example"], track=True)
    assert [row.recipients for row in one.outgoing] == [("a@b.example",), ("c@d.example",)]
    assert one.outgoing[0].content is one.outgoing[1].content
    assert len({row.sender for row in one.outgoing}) == 2
    kept = one.outgoing[0].tracked
    assert kept is not None
    assert (kept.message_id, kept.subject, kept.module) == (id, "Hi", "app")
    assert kept.recipients == ("a@b.example",)
    assert kept.scope == one.outgoing[0].scope == "users.test.com"
    assert kept.id == one.outgoing[0].envid


def test_what_cannot_be_tracked_is_told() -> None:
    with pytest.raises(ValueError, match="an envelope sender of its own"):
        delivery(tracking()).send(response(), sender="l@test.com", track=True)
    with pytest.raises(ValueError, match="an envelope sender of its own"):
        delivery(tracking()).reply(body="x", envelope_sender="", track=True)
    with pytest.raises(LamsonError, match="needs a database"):
        delivery(None).send(response(), track=True)
    with pytest.raises(LamsonError, match="no key to sign with"):
        delivery(tracking(keys=())).send(response(), track=True)
    nowhere = delivery(tracking(domains=[]), recipient="x@elsewhere.example")
    with pytest.raises(LamsonError, match="needs a domain of ours"):
        nowhere.send(response("l@elsewhere.example"), track=True)


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("<users.test.com>", "users.test.com"),
        ("Users of it <Users.Test.com> ", "users.test.com"),
        ("users.test.com", ""),
        ("<>", ""),
        ("<" + "x" * 300 + ">", ""),
    ],
)
def test_the_name_of_a_list(field: str, name: str) -> None:
    assert list_of(field) == name
