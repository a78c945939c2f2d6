"""The count itself: it must see what is missing, double, unknown, contradictory."""

from __future__ import annotations

from tests.faults import load
from tests.faults.tally import Effect, Tally, count
from tests.postfix.sink import Delivered

EFFECTS = [(load.name(7), to) for to in load.recipients(7)]
TOKEN = "5ca1ab1e"


def reply(effect: Effect, message_id: str = "", token: str = TOKEN) -> Delivered:
    identity, recipient = effect
    content = (
        f"From: {recipient}\r\nSubject: {identity} {recipient}\r\nAuto-Submitted: auto-replied\r\n"
        f"Message-ID: <{message_id or recipient}>\r\n\r\nCounted.\r\n{token}\r\n"
    )
    return Delivered("", ("m7@world.test",), (), content.encode())


def bounce() -> Delivered:
    content = b"From: MAILER-DAEMON@mail.postfix.test\r\nSubject: Undelivered Mail\r\n\r\n"
    return Delivered("", ("m7@world.test",), (), content)


def tally(effects: list[Effect], arrived: list[Delivered]) -> Tally:
    return count([7], [(*effect, TOKEN) for effect in effects], arrived)


def test_all_is_well() -> None:
    assert tally(EFFECTS, [reply(one) for one in EFFECTS]).is_clean


def test_a_reply_may_come_again_with_the_same_message_id() -> None:
    found = tally(EFFECTS, [reply(one) for one in [*EFFECTS, EFFECTS[0]]])
    assert found.is_clean
    assert found.resent == 1


def test_what_is_missing() -> None:
    found = tally(EFFECTS[1:], [reply(one) for one in EFFECTS[1:]])
    assert found.lost == {EFFECTS[0]}
    assert not found.is_clean
    assert found.broken() == {load.name(7)}


def test_what_is_double() -> None:
    found = tally([*EFFECTS, EFFECTS[0], EFFECTS[0]], [reply(one) for one in EFFECTS])
    assert found.duplicated == {EFFECTS[0]: 2}
    assert not found.is_clean


def test_what_nobody_sent() -> None:
    strange = (load.name(8), "a-8@count.test")
    found = tally([*EFFECTS, strange], [reply(one) for one in [*EFFECTS, strange]])
    assert found.unknown == {strange}
    assert not found.is_clean


def test_a_reply_that_did_not_come() -> None:
    found = tally(EFFECTS, [reply(one) for one in EFFECTS[1:]])
    assert found.unanswered == {EFFECTS[0]}
    assert not found.is_clean


def test_a_second_reply_with_another_message_id() -> None:
    replies = [reply(one) for one in EFFECTS]
    assert not tally(EFFECTS, [*replies, reply(EFFECTS[0], "other")]).is_clean


def test_two_replies_with_one_message_id() -> None:
    assert not tally(EFFECTS, [reply(one, "same") for one in EFFECTS]).is_clean


def test_a_bounce() -> None:
    assert not tally(EFFECTS, [*[reply(one) for one in EFFECTS], bounce()]).is_clean


def test_a_reply_that_comes_again_with_other_bytes() -> None:
    """As where the handler ran twice, and the row of one run was taken back."""
    replies = [reply(one) for one in EFFECTS]
    found = tally(EFFECTS, [*replies, reply(EFFECTS[0], token="another")])
    assert (found.contradictions, found.strange) == (1, 1)
    assert not found.is_clean


def test_a_reply_of_a_run_that_was_not_committed() -> None:
    found = tally(EFFECTS, [reply(EFFECTS[0], token="another"), *map(reply, EFFECTS[1:])])
    assert (found.contradictions, found.strange) == (0, 1)
    assert not found.is_clean


def test_what_postfix_puts_on_top_is_no_other_message() -> None:
    again = reply(EFFECTS[0])
    stamped = Delivered(
        *(again.sender, again.recipients, again.options),
        b"Received: from here\r\n\tby there; now\r\n" + again.content,
    )
    assert tally(EFFECTS, [*map(reply, EFFECTS), stamped]).is_clean
