"""lamson.relay.attempt: one attempt, and what becomes of the row."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from lamson.relay.attempt import DONE, LEASE_MARGIN, NOT_TRIED, Attempts, Fate
from lamson.relay.submission import Outcome, Refusal, SubmitterDown
from lamson.storage.claims import LONGEST_DELAY
from lamson.storage.journal_sent import JournalSent
from lamson.storage.maildir import Maildir
from lamson.storage.outgoing import Outgoing

DAY = 24 * 3600.0


class Server:
    """Gives one answer to all, or raises it."""

    def __init__(self, answer: list[Refusal] | Exception) -> None:
        self.answer = answer
        self.asked = 0

    async def submit(self, row: Outgoing) -> Outcome:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return Outcome(self.answer, "250 2.0.0 Ok")


@pytest.fixture
def attempts(tmp_path: Path) -> Attempts:
    return Attempts(Maildir(tmp_path / "undeliverable"), DAY)


def row(attempts: int = 0, lease: float = 300.0) -> Outgoing:
    now = time.time()
    return Outgoing("4Qz", "<1@test>", "l@test.com", ("a@b.example", "c@d.example"), b"x\r\n",
                    created_at=now, attempts=attempts, lease_until=now + lease)  # fmt: skip


def make(attempts: Attempts, server: Any, tried: Outgoing) -> Fate:
    return asyncio.run(attempts.make(server, tried))


def test_what_was_taken_or_refused_for_ever_is_done_with(attempts: Attempts) -> None:
    assert make(attempts, Server([]), row()) == DONE
    assert make(attempts, Server([Refusal("a@b.example", "550 no", True)]), row()) == DONE


def test_a_journal_that_fails_has_nothing_submitted_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(JournalSent):
        def note(self, *arguments: object) -> None:
            raise ValueError("broken")

    journal = Broken(1000, is_whole=True)
    attempts = Attempts(Maildir(tmp_path / "undeliverable"), DAY, journal=journal)
    assert make(attempts, Server([]), row()) == DONE
    assert "id=4Qz: the journal lacks <1@test>" in caplog.text


def test_only_who_was_refused_for_now_is_tried_again(attempts: Attempts) -> None:
    tried = row()
    fate = make(attempts, Server([Refusal("c@d.example", "451 4.2.1 busy", False)]), tried)
    assert not fate.is_done
    assert tried.recipients == ("c@d.example",)
    assert (tried.attempts, tried.last_error) == (1, "451 4.2.1 busy")


@pytest.mark.parametrize(
    ("before", "delay"),
    [(0, 5.0), (1, 10.0), (4, 80.0), (20, LONGEST_DELAY), (5000, LONGEST_DELAY)],
)
def test_each_attempt_waits_longer_up_to_an_hour(
    attempts: Attempts, before: int, delay: float
) -> None:
    fate = make(attempts, Server(SubmitterDown("it is away")), row(before))
    assert fate.due_at is not None
    assert 0.79 * delay < fate.due_at - time.time() < 1.21 * delay


def test_what_could_not_even_be_tried_is_tried_soon_however_often(attempts: Attempts) -> None:
    """For want of a descriptor: it is not the server that asks for patience."""
    server, tried = Server(SubmitterDown("Too many open files", is_ours=True)), row(6)
    for _ in range(3):
        fate = make(attempts, server, tried)
        assert fate.due_at is not None
        assert fate.due_at - time.time() < 6.1
    assert (server.asked, tried.attempts) == (1, 6)


def test_a_server_that_failed_is_left_alone_for_a_moment(attempts: Attempts) -> None:
    server, tried = Server(SubmitterDown("it is away")), row()
    assert not attempts.is_server_down
    make(attempts, server, tried)
    assert attempts.is_server_down
    assert not make(attempts, server, tried).is_done
    assert (server.asked, tried.attempts, tried.last_error) == (1, 2, "it is away")


def test_a_row_whose_lease_is_almost_over_is_not_tried(attempts: Attempts) -> None:
    server, tried = Server([]), row(lease=LEASE_MARGIN - 1)
    assert make(attempts, server, tried) == NOT_TRIED
    assert (server.asked, tried.attempts) == (0, 0)


@pytest.mark.parametrize(("tried", "is_given_up"), [(1, False), (19, False), (20, True)])
def test_only_what_was_tried_for_a_good_part_of_its_time_is_given_up(
    attempts: Attempts, tried: int, is_given_up: bool
) -> None:
    """A clock that jumps 40 days ahead makes every row old at its next attempt.

    Half of a day has 21 attempts: ten in the first hour and a half, then one each hour.
    """
    old = row(tried)
    old.created_at -= 40 * DAY
    fate = make(attempts, Server(SubmitterDown("away")), old)
    assert fate.is_done == is_given_up


def test_who_never_gives_up_may_say_so(tmp_path: Path) -> None:
    attempts = Attempts(Maildir(tmp_path / "undeliverable"), float("inf"))
    assert not make(attempts, Server(SubmitterDown("away")), row(1000)).is_done


def test_the_rest_of_too_many_goes_at_once(attempts: Attempts) -> None:
    """RFC 5321 section 4.5.3.1.10: they are no failure."""
    tried = row()
    refusal = Refusal("c@d.example", "452 4.5.3 Error: too many recipients", False)
    fate = make(attempts, Server([refusal]), tried)
    assert not fate.is_done
    assert fate.due_at is not None
    assert fate.due_at <= time.time()
    assert (tried.recipients, tried.attempts) == (("c@d.example",), 0)


def test_lines_name_the_first_few_of_many(
    attempts: Attempts, caplog: pytest.LogCaptureFixture
) -> None:
    many = row()
    many.recipients = tuple(f"{number}@b.example" for number in range(50))
    with caplog.at_level("INFO"):
        make(attempts, Server([]), many)
        make(attempts, Server(SubmitterDown("away")), many)
    submitted, deferred = caplog.text.splitlines()[-2:]
    for line in (submitted, deferred):
        assert "4@b.example,..." in line
        assert " count=50" in line
        assert "5@b.example" not in line
