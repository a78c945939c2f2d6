"""lamson.storage.failure: whose fault an error was, and what is known after it."""

import errno

import pytest
from sqlalchemy import exc

from lamson.errors import DatabaseError, UnavailableError
from lamson.storage import failure


class Answer(Exception):
    """What PostgreSQL says, as its driver gives it."""

    def __init__(self, sqlstate: str, text: str = "") -> None:
        super().__init__(text)
        self.sqlstate = sqlstate


def operational(sqlstate: str = "", text: str = "") -> exc.OperationalError:
    return exc.OperationalError("SELECT 1", {}, Answer(sqlstate, text))


def wrapped(error: Exception) -> Exception:
    """As a handler raises it that has an exception class of its own."""
    try:
        try:
            raise error
        except Exception as cause:
            raise RuntimeError("it did not work") from cause
    except RuntimeError as outer:
        return outer


@pytest.mark.parametrize("sqlstate", ["40001", "40P01"])
def test_a_conflict_is_an_outage_after_which_nothing_was_committed(sqlstate: str) -> None:
    error = operational(sqlstate)
    assert failure.is_conflict(error)
    assert failure.is_conflict(wrapped(error))
    assert failure.is_outage(error)
    assert failure.is_one_deliverys(error)


@pytest.mark.parametrize("sqlstate", ["", "53100", "57P01", "08006"])
def test_after_other_outages_nothing_is_known(sqlstate: str) -> None:
    error = operational(sqlstate)
    assert failure.is_outage(error)
    assert failure.is_outage(wrapped(error))
    assert not failure.is_conflict(error)
    assert not failure.is_one_deliverys(error)


@pytest.mark.parametrize(
    "error",
    [
        exc.TimeoutError("no connection"),
        UnavailableError("the queue is gone"),
        DatabaseError("the database is at another schema"),
        OSError(errno.EMFILE, "Too many open files"),
    ],
)
def test_what_is_not_the_database_can_fail_as_well(error: Exception) -> None:
    assert failure.is_outage(error)
    assert not failure.is_one_deliverys(error)


def test_a_refusal_of_the_commit_is_one_deliverys_fault() -> None:
    refused = exc.IntegrityError("COMMIT", {}, Answer("23503"))
    assert failure.is_one_deliverys(refused)
    assert not failure.is_outage(refused)
    assert failure.is_one_deliverys(operational("55P03"))  # a lock that another one keeps


@pytest.mark.parametrize("error", [ValueError("a mistake"), OSError("no such file"), SystemExit()])
def test_a_handlers_mistake_is_none_of_these(error: BaseException) -> None:
    assert not failure.is_outage(error)
    assert not failure.is_conflict(error)
    assert not failure.is_one_deliverys(error)


def test_an_error_in_one_line() -> None:
    assert failure.brief(operational("", "server closed\n\tthe connection")) == (
        "server closed the connection"
    )
    assert failure.brief(ValueError()) == "ValueError()"


def test_causes_that_go_round_in_a_circle() -> None:
    one, other = ValueError(), ValueError()
    one.__cause__, other.__cause__ = other, one
    assert not failure.is_outage(one)
