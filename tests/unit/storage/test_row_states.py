"""lamson.storage.row_states"""

import sys
import threading
from itertools import product

import pytest

from lamson.storage.row_states import TRANSITIONS, IllegalStep, RowStates, State, Step

# From ABSENT: how a row comes into each state.
WAYS: dict[State, list[Step]] = {
    State.ABSENT: [],
    State.WAITING: [Step.HOLD],
    State.UNDER_WAY: [Step.HOLD, Step.BEGIN],
    State.TAKEN: [Step.HOLD, Step.BEGIN, Step.TAKE],
    State.DELETING: [Step.HOLD, Step.BEGIN, Step.TAKE, Step.WRITE],
    State.UNDELETED: [Step.HOLD, Step.BEGIN, Step.TAKE, Step.WRITE, Step.FAIL],
    State.RETURNING: [Step.GIVE_BACK],
    State.UNWRITTEN: [Step.GIVE_BACK, Step.FAIL],
    State.DOUBTFUL: [Step.DOUBT],
}
# As the relay's promises have it, written out once more.
LEGAL = {
    (State.ABSENT, Step.HOLD): State.WAITING,
    (State.ABSENT, Step.DOUBT): State.DOUBTFUL,
    (State.ABSENT, Step.GIVE_BACK): State.RETURNING,
    (State.WAITING, Step.BEGIN): State.UNDER_WAY,
    (State.WAITING, Step.GIVE_BACK): State.RETURNING,
    (State.UNDER_WAY, Step.TAKE): State.TAKEN,
    (State.UNDER_WAY, Step.LEAVE): State.ABSENT,
    (State.UNDER_WAY, Step.GIVE_BACK): State.RETURNING,
    (State.TAKEN, Step.WRITE): State.DELETING,
    (State.DELETING, Step.SETTLE): State.ABSENT,
    (State.DELETING, Step.FAIL): State.UNDELETED,
    (State.UNDELETED, Step.WRITE): State.DELETING,
    (State.RETURNING, Step.SETTLE): State.ABSENT,
    (State.RETURNING, Step.FAIL): State.UNWRITTEN,
    (State.UNWRITTEN, Step.WRITE): State.RETURNING,
    (State.DOUBTFUL, Step.WRITE): State.RETURNING,
}


def states_with(state: State, *ids: int) -> RowStates:
    states = RowStates()
    for step in WAYS[state]:
        states.step(step, ids)
    return states


@pytest.mark.parametrize(("state", "step"), [*product(State, Step)])
def test_every_step_of_every_state(state: State, step: Step) -> None:
    states = states_with(state, 7)
    assert states.state(7) is state
    after = LEGAL.get((state, step))
    if after is None:
        with pytest.raises(IllegalStep, match=f"row 7 is {state.name}: no {step.name} there"):
            states.step(step, [7])
        after = state
    else:
        states.step(step, [7])
    assert states.state(7) is after
    assert states.all() == (set() if after is State.ABSENT else {7})
    assert [one for one in State if states.ids(one)] == [after] * (after is not State.ABSENT)


def test_a_row_that_was_taken_is_never_submitted_again() -> None:
    """Nor one whose deletion failed: there is no way back but by the database."""
    reached = {State.TAKEN}
    for _ in State:
        after = {after for state in reached for after in TRANSITIONS[state].values()}
        reached |= after - {State.ABSENT}
    assert reached == {State.TAKEN, State.DELETING, State.UNDELETED}


def test_no_state_is_a_dead_end() -> None:
    home = {State.ABSENT}
    for _ in State:
        home |= {one for one in State if home & set(TRANSITIONS[one].values())}
    assert home == set(State)


def test_where_one_must_not_none_does() -> None:
    states = states_with(State.WAITING, 1, 2)
    states.step(Step.BEGIN, [2])
    with pytest.raises(IllegalStep, match="row 2 is UNDER_WAY"):
        states.step(Step.BEGIN, [1, 2])
    assert (states.state(1), states.state(2)) == (State.WAITING, State.UNDER_WAY)


def test_rows_of_a_state_are_given_in_the_order_in_which_they_came() -> None:
    states = states_with(State.WAITING, 3, 1, 2)
    states.step(Step.BEGIN, [2])
    states.step(Step.BEGIN, [3])
    assert states.ids(State.UNDER_WAY, State.WAITING) == [2, 3, 1]
    assert states.count(State.UNDER_WAY) == 2
    assert states.all() == {1, 2, 3}


def test_all_of_some_states_or_only_the_new_ones_do_a_step() -> None:
    states = states_with(State.TAKEN, 1, 2)
    assert states.step_new(Step.DOUBT, [1, 3, 3]) == {3}
    assert states.step_all(Step.WRITE, State.DOUBTFUL, State.TAKEN) == [3, 1, 2]
    assert states.step_all(Step.WRITE, State.TAKEN) == []
    assert (states.state(1), states.state(3)) == (State.DELETING, State.RETURNING)


def test_a_row_on_its_way_from_state_to_state_is_never_missed() -> None:
    """Whoever asks whether all is done, on another thread, must not hear so in between."""
    states = states_with(State.DELETING, 1)
    missed = []
    is_over = threading.Event()

    def look() -> None:
        while not is_over.is_set():
            if not states.count(State.UNDELETED, State.DELETING):
                missed.append(1)

    thread = threading.Thread(target=look)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        thread.start()
        for _ in range(3000):
            states.step(Step.FAIL, [1])
            states.step(Step.WRITE, [1])
    finally:
        is_over.set()
        thread.join()
        sys.setswitchinterval(interval)
    assert missed == []
