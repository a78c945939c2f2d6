"""The count itself: it must see what is missing, double, unknown, contradictory."""

from __future__ import annotations

from tests.faults import load
from tests.faults.chain import Row
from tests.faults.tally import Effect, Tally, count
from tests.postfix.sink import Delivered

EFFECTS = [(load.name(7), to) for to in load.recipients(7)]
TOKEN = "5ca1ab1e"
AUTHOR = load.author(7)


def queue_id(number: int) -> str:
    """That of the message that Postfix took at some second."""
    return f"4QzXw{number}0000z5tVb"


def reply(effect: Effect, message_id: str = "", token: str = "", taken_as: str = "") -> Delivered:
    identity, recipient = effect
    token = token or TOKEN + recipient[0]
    taken_as = taken_as or queue_id("abc".index(recipient[0]))
    content = (
        f"Received: from here by there (Postfix)\r\n\twith ESMTP id {taken_as};\r\n\tnow\r\n"
        f"From: {recipient}\r\nSubject: {identity} {recipient}\r\nAuto-Submitted: auto-replied\r\n"
        f"Message-ID: <{message_id or recipient}>\r\n\r\nCounted.\r\n{token}\r\n"
    )
    return Delivered("", ("m7@world.test",), (), content.encode())


def bounce() -> Delivered:
    content = b"From: MAILER-DAEMON@mail.postfix.test\r\nSubject: Undelivered Mail\r\n\r\n"
    return Delivered("", ("m7@world.test",), (), content)


def tally(effects: list[Effect], arrived: list[Delivered], state: str = "") -> Tally:
    rows = [Row(*effect, TOKEN + effect[1][0], AUTHOR, step) for step, effect in enumerate(effects)]
    return count([7], rows, [(AUTHOR, state or f"STEP_{len(rows)}")], arrived)


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


def test_an_author_whose_state_lags_behind() -> None:
    found = tally(EFFECTS, [*map(reply, EFFECTS)], state="STEP_2")
    assert found.strayed == {load.name(7)} == found.broken()
    assert not found.is_clean


def test_a_state_of_somebody_for_whom_nothing_was_handled() -> None:
    assert count([], [], [("nobody@world.test", "STEP_1")], []).strayed


def test_two_deliveries_that_met_the_same_state() -> None:
    rows = [Row(*effect, effect[1], AUTHOR, 0) for effect in EFFECTS]
    assert count([7], rows, [(AUTHOR, "STEP_3")], []).strayed


def test_a_reply_that_left_after_a_later_one() -> None:
    replies = [reply(EFFECTS[0], taken_as=queue_id(9)), *map(reply, EFFECTS[1:])]
    found = tally(EFFECTS, replies)
    assert found.overtaken == {EFFECTS[0]}
    assert not found.is_clean


def test_a_reply_that_left_in_its_order_may_come_again_later() -> None:
    again = reply(EFFECTS[0], taken_as=queue_id(9))
    assert tally(EFFECTS, [*map(reply, EFFECTS), again]).is_clean


def test_the_order_in_which_they_arrive_is_that_of_postfix() -> None:
    assert tally(EFFECTS, [reply(one) for one in reversed(EFFECTS)]).is_clean


def test_what_was_to_be_handled_though_postfix_did_not_bring_it() -> None:
    forged = ("forged-000000", "a-7@count.test")
    assert count([], [], [], [], [forged]).lost == {forged}
