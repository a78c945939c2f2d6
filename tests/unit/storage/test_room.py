"""lamson.storage.room"""

from lamson.storage.room import Budget, parts


def test_there_is_room_for_what_fits_and_for_one_that_is_too_large_alone() -> None:
    budget = Budget(10)
    room = budget.room()
    assert [room.take(size) for size in (6, 5, 4, 1)] == [True, False, True, False]
    assert budget.room().take(100)
    budget.held = 1
    assert not budget.room().take(100)


def test_what_was_left_is_looked_for_when_there_is_room_worth_it() -> None:
    budget = Budget(10)
    budget.held = 6
    assert not budget.has_room_again
    budget.want(3)
    assert (budget.is_spent, budget.has_room_again) == (False, False)
    budget.want(5)
    assert budget.is_spent
    budget.held = 5
    assert (budget.is_spent, budget.has_room_again) == (False, True)
    budget.want(100)  # it goes alone
    assert not budget.has_room_again
    budget.held = 0
    assert budget.has_room_again
    budget.want_nothing()
    assert not budget.has_room_again


def test_parts() -> None:
    assert list(parts([3, 3, 3, 9, 1, 7], lambda one: one, 7)) == [[3, 3], [3], [9], [1], [7]]
    assert list(parts([], lambda one: one, 7)) == []
