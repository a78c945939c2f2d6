"""lamson.storage.held: each promise by itself. All of them together are in test_held_model."""

from typing import TYPE_CHECKING

import pytest

from lamson.storage.held import Came, Deferral, HeldRows
from lamson.storage.outgoing import Outgoing
from lamson.storage.room import Budget
from lamson.storage.row_states import IllegalStep

if TYPE_CHECKING:
    from collections.abc import Callable


def row(id: int, recipient: str = "zed@example.com") -> Outgoing:
    return Outgoing("4Qz", f"<{id}@test>", "l@test.com", (recipient,), b"x\r\n", id=id)


def hold(held: HeldRows, *rows: Outgoing) -> Came:
    return held.hold(rows)


def test_one_row_of_a_conversation_is_under_way_at_a_time() -> None:
    held = HeldRows()
    first, second, other = row(1), row(2), row(3, "ann@example.com")
    assert hold(held, first, second, other) == (2, [])
    assert (held.begin(), held.begin(), held.begin()) == (first, other, None)
    assert held.under_way() == [first, other]
    assert not held.take(other)
    assert held.take(first)
    assert held.begin() is second
    assert not held.take(second)
    assert not held.is_idle
    assert held.begin_deletion() == [3, 1, 2]
    assert not held.has_deletions
    held.deleted([3, 1, 2], is_committed=True)
    assert held.is_idle
    assert held.known() == set()


def test_what_is_held_already_is_not_taken_twice() -> None:
    held = HeldRows()
    assert hold(held, row(1)) == (1, [])
    assert hold(held, row(1)) == (0, [])
    first = held.begin()
    assert hold(held, row(1)) == (0, [])
    assert first is not None
    held.take(first)
    assert hold(held, row(1)) == (0, [])
    held.deleted(held.begin_deletion(), is_committed=False)
    assert hold(held, row(1)) == (0, [])
    assert held.begin() is None


@pytest.mark.parametrize("way", ["defer", "release", "leave"])
def test_those_behind_a_row_that_waits_go_back_and_so_does_what_comes_after(way: str) -> None:
    now = 0.0
    held = HeldRows(clock=lambda: now)
    hold(held, row(1), row(2), row(3))
    first = held.begin()
    assert first is not None
    ways: dict[str, Callable[[], list[int]]] = {
        "defer": lambda: held.defer(first, 99.0),
        "release": lambda: held.release(first),
        "leave": lambda: held.leave(first),
    }
    assert ways[way]() == ([1, 2, 3] if way == "release" else [2, 3])
    assert held.known() == ({2, 3} if way == "leave" else {1, 2, 3})
    assert hold(held, row(4)) == (0, [4])
    held.end_hold_backs(30.0)
    assert hold(held, row(5)) == (0, [5])
    held.returned(held.known(), is_settled=True)
    now = 31.0
    held.end_hold_backs(30.0)
    assert hold(held, row(6)) == (1, [])


def test_a_claim_ends_the_hold_back_as_it_has_all_that_come_before() -> None:
    held = HeldRows()
    hold(held, row(1))
    first = held.begin()
    assert first is not None
    held.returned(held.release(first), is_settled=True)
    assert held.hold_claimed([row(1), row(2)]) == (1, [])
    assert held.begin() == row(1)


def test_nothing_overtakes_a_row_that_is_being_given_back() -> None:
    """Its lease is over, and the claim had it: the clock has jumped."""
    held = HeldRows()
    hold(held, row(1))
    first = held.begin()
    assert first is not None
    held.defer(first, 99.0)
    assert held.hold_claimed([row(1), row(2)]) == (0, [2])


def test_a_claim_of_what_was_submitted_meanwhile_is_given_back() -> None:
    """And what stands behind it; other conversations are taken in."""
    held = HeldRows()
    hold(held, row(1))
    held.begin_look()
    first = held.begin()
    assert first is not None
    held.take(first)
    held.deleted(held.begin_deletion(), is_committed=True)
    other = row(3, "ann@example.com")
    assert held.hold_claimed([row(1), row(2), other]) == (1, [1, 2])
    assert (held.begin(), held.begin()) == (other, None)


@pytest.mark.parametrize("is_well", [True, False])
def test_what_a_claim_leased_anew_while_it_was_given_back_is_given_back_once_more(
    is_well: bool,
) -> None:
    """The change is made, and nobody has told so yet when the claim looks."""
    held = HeldRows()
    hold(held, row(1))
    first = held.begin()
    assert first is not None
    ids = held.release(first)
    if is_well:
        assert held.hold_claimed([row(1)]) == (0, [])
    else:
        held.doubt([row(1)])
    held.returned(ids, is_settled=True)
    assert held.is_behind
    assert held.begin_again() == [1]
    held.returned(ids, is_settled=True)
    assert held.known() == set()


def test_how_it_ended_to_give_back_what_is_not_on_its_way_any_more_is_no_news() -> None:
    """At the end two may write: one who was cut off, and one who does it all once more."""
    held = HeldRows()
    hold(held, row(1))
    first = held.begin()
    assert first is not None
    ids = held.release(first)
    assert held.give_back_all() == []
    held.returned(ids, is_settled=True)
    assert held.begin_again() == [1]
    held.returned(ids, is_settled=True)
    held.returned(ids, is_settled=True)
    assert held.known() == set()


def test_a_hold_back_lasts_until_what_was_given_back_is_written() -> None:
    now = 0.0
    held = HeldRows(clock=lambda: now)
    hold(held, row(1))
    first = held.begin()
    assert first is not None
    held.defer(first, 99.0)
    now = 60.0
    held.end_hold_backs(30.0)
    assert hold(held, row(2)) == (0, [2])
    held.returned([1, 2], is_settled=True)
    held.end_hold_backs(30.0)
    assert hold(held, row(3)) == (0, [3])  # leased to us before that was written
    held.returned([3], is_settled=True)
    now = 91.0
    held.end_hold_backs(30.0)
    assert hold(held, row(4)) == (1, [])


def test_nothing_overtakes_a_row_that_is_in_doubt() -> None:
    held = HeldRows()
    held.doubt([row(1)])
    assert hold(held, row(2), row(3, "ann@example.com")) == (1, [2])
    ids = held.begin_release()
    assert hold(held, row(4)) == (0, [4])
    held.returned([*ids, 2, 4], is_settled=True)
    assert hold(held, row(5)) == (0, [5])
    held.returned([5], is_settled=True)
    assert held.hold_claimed([row(1), row(2)]) == (1, [])


def test_what_was_not_written_is_written_later_each_as_it_was_to_be() -> None:
    held = HeldRows()
    hold(held, row(1), row(2))
    first = held.begin()
    assert first is not None
    behind = held.defer(first, 99.0)
    assert not held.is_behind
    held.returned(behind, is_settled=False)
    held.returned([1], is_settled=False)
    assert held.is_behind
    assert held.begin_again() == Deferral(first, 99.0)
    assert held.begin_again() == [2]
    assert held.begin_again() == []
    held.returned([1], is_settled=False)
    assert held.begin_again() == Deferral(first, 99.0)
    held.returned([1], is_settled=True)
    held.returned([2], is_settled=True)
    assert (held.is_behind, held.known()) == (False, set())


def test_what_is_in_doubt_is_released_once() -> None:
    held = HeldRows()
    hold(held, row(1))
    held.doubt([row(1), row(2), row(3)])
    assert held.begin_release() == [2, 3]
    assert held.begin_release() == []
    held.returned([2, 3], is_settled=True)
    assert held.known() == {1}


def test_at_the_end_all_that_was_not_submitted_is_given_back() -> None:
    held = HeldRows()
    hold(held, row(1), row(2), row(3, "ann@example.com"), row(4, "joe@example.com"))
    for _ in range(3):
        held.begin()
    held.take(row(3, "ann@example.com"))
    held.defer(row(4, "joe@example.com"), 99.0)  # and who wrote that was cut off
    held.doubt([row(5)])
    assert sorted(held.give_back_all()) == [1, 2, 5]
    assert held.begin_again() == Deferral(row(4, "joe@example.com"), 99.0)
    assert held.begin_deletion() == [3]
    assert held.begin() is None


def test_full_and_idle() -> None:
    held = HeldRows(limit=2)
    assert held.is_idle
    hold(held, row(1))
    assert (held.is_idle, held.is_full) == (False, False)
    hold(held, row(2))
    assert held.is_full
    held.begin()
    assert held.is_full
    held.take(row(1))
    assert (held.is_idle, held.is_full) == (False, False)


def test_what_finds_no_room_is_given_back_and_what_follows_it_in_its_conversation() -> None:
    """Other threads took in some since the database leased it to us."""
    held = HeldRows(budget=Budget(7))  # a row has three octets
    assert hold(held, row(1), row(2, "ann@example.com")) == (2, [])
    assert not held.is_full
    assert hold(held, row(3), row(4), row(5, "joe@example.com")) == (0, [3, 4, 5])
    assert held.budget.held == 6
    held.returned([3, 4, 5], is_settled=True)
    first = held.begin()
    assert first is not None
    held.take(first)
    assert (first.content, held.budget.held) == (b"", 3)
    assert hold(held, row(6), row(7, "sue@example.com")) == (1, [6])


@pytest.mark.parametrize("way", ["take", "defer", "release", "leave", "give_back_all"])
def test_what_leaves_frees_its_room(way: str) -> None:
    held = HeldRows()
    rows = row(1), row(2)
    hold(held, *rows)
    assert held.budget.held == 6
    begun = held.begin()
    assert begun is not None
    ways: dict[str, Callable[[], object]] = {
        "take": lambda: held.take(begun),
        "defer": lambda: held.defer(begun, 99.0),
        "release": lambda: held.release(begun),
        "leave": lambda: held.leave(begun),
        "give_back_all": held.give_back_all,
    }
    ways[way]()
    left = 3 if way == "take" else 0
    assert (held.budget.held, len(rows[0].content + rows[1].content)) == (left, left)


def test_nothing_overtakes_a_row_that_was_claimed_and_is_on_its_way_here() -> None:
    """The database says that the conversation is ours as soon as the claim is committed."""
    held = HeldRows()
    held.begin_look()
    held.begin_claim([row(1)], 3)
    assert held.budget.coming == 3
    assert hold(held, row(2), row(3, "ann@example.com")) == (1, [2])
    assert held.hold_claimed([row(1)]) == (1, [])
    assert held.budget.coming == 0
    assert [one and one.id for one in (held.begin(), held.begin(), held.begin())] == [3, 1, None]


def test_what_comes_while_a_claim_looks_is_not_taken_from_it_once_more() -> None:
    """Its lease is over, so the claim has it; it is submitted and deleted before that is here."""
    held = HeldRows()
    held.begin_look()
    hold(held, row(1))  # its commit was heard of while the claim waited for the database
    held.begin_claim([row(1)], 3)
    first = held.begin()
    assert first is not None
    held.take(first)
    held.deleted(held.begin_deletion(), is_committed=True)
    assert held.hold_claimed([row(1)]) == (0, [1])
    assert held.begin() is None


@pytest.mark.parametrize("way", ["hold", "doubt"])
def test_what_a_claim_has_and_was_given_back_meanwhile_is_not_submitted(way: str) -> None:
    """Its lease is over, so the claim has it; then the news of its commit came, and it went back.

    It is free in the database, for any process: who submitted it here would submit it twice.
    """
    held = HeldRows()
    held.begin_look()
    held.begin_claim([row(1)], 3)
    if way == "hold":
        ids = hold(held, row(1)).late
    else:
        held.doubt([row(1)])
        ids = held.begin_release()
    assert ids == [1]
    held.returned(ids, is_settled=True)
    assert held.hold_claimed([row(1)]) == (0, [1])
    assert held.begin() is None


def test_a_claim_does_not_end_the_hold_back_of_what_went_back_meanwhile() -> None:
    """Two rows were committed behind one that was claimed: the second must not overtake the first.

    Both were leased to us, as the claim was committed; the first went back before it was here.
    """
    held = HeldRows()
    held.begin_look()
    held.begin_claim([row(1)], 3)
    assert hold(held, row(2)) == (0, [2])
    held.returned([2], is_settled=True)
    assert held.hold_claimed([row(1)]) == (1, [])
    assert hold(held, row(3)) == (0, [3])


def test_a_commit_in_doubt_while_a_claim_has_what_was_committed_sends_nothing_twice() -> None:
    """The claim has a row whose commit nobody has heard of yet, since its lease is over."""
    held = HeldRows()
    held.begin_look()
    held.begin_claim([row(1)], 3)
    late = hold(held, row(1)).late
    held.doubt([row(3)])
    begun = held.begin()
    if begun is not None:
        held.take(begun)
        held.deleted(held.begin_deletion(), is_committed=True)
    late += held.hold_claimed([row(1)]).late
    assert (begun, late, held.begin()) == (None, [1], None)


def test_a_row_that_is_not_under_way_cannot_be_done_with() -> None:
    held = HeldRows()
    hold(held, row(1), row(2))
    for wrong in (held.take, held.leave):
        with pytest.raises(IllegalStep):
            wrong(row(1))
    held.begin()
    with pytest.raises(IllegalStep):
        held.take(row(2))
