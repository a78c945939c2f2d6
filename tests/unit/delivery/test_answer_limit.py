"""lamson.delivery.answer_limit: counted by mailbox and organisation, shared in the database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from lamson.delivery.answer_limit import Answer, AnswerLimit
from lamson.storage.outgoing import Outgoing
from lamson.storage.tables import answers

if TYPE_CHECKING:
    from lamson.storage.database import Database

SPELLINGS = [
    "victim@corp.example",
    "VICTIM@Corp.Example",
    "victim+1@corp.example",
    "victim+1+2@corp.example",
    "vic.tim@corp.example",
    '"victim."@corp.example',
    '".victim+ +"@corp.example',
    "victim@\uff43orp.example",
]


def give(limit: AnswerLimit, to: str, *, is_proven: bool = False) -> Answer | None:
    caps = limit.caps(to, is_proven=is_proven)
    if limit.is_reached(caps):
        return None
    limit.add(caps)
    return Answer(caps, (Outgoing("x", "<x@y>", "", (to,), b""),))


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_mailbox_is_one_however_it_is_spelt(spelling: str) -> None:
    limit = AnswerLimit(1)
    assert give(limit, SPELLINGS[0])
    assert not give(limit, spelling)


def test_another_mailbox_has_a_cap_of_its_own() -> None:
    limit = AnswerLimit(1)
    others = ("a@corp.example", "b@corp.example", "a@bücher.example", "+a@corp.example")
    assert all(give(limit, one) for one in others)
    assert not give(limit, "a@xn--bcher-kva.example")


def test_an_organisation_is_one_whatever_its_hosts_are_called() -> None:
    limit = AnswerLimit(30, 2)
    assert give(limit, "a@mx1.corp.co.uk")
    assert give(limit, "b@corp.co.uk")
    assert not give(limit, "c@mx2.corp.co.uk")
    assert give(limit, "c@other.co.uk")


def test_strangers_take_nothing_from_who_is_proven_to_write() -> None:
    limit = AnswerLimit(2, 2)
    assert all(give(limit, f"{name}@large.example") for name in ("forged1", "forged2"))
    assert not give(limit, "zed@large.example")
    proven = [give(limit, "zed@large.example", is_proven=True) is not None for _ in range(3)]
    assert proven == [True, True, False]


def test_an_answer_that_was_rolled_back_does_not_count() -> None:
    limit = AnswerLimit(1)
    answer = give(limit, "a@b.example")
    assert answer
    for _ in range(2):
        limit.add(answer.caps, -1)
    assert give(limit, "a@b.example")
    assert not give(limit, "a@b.example")


def test_an_hour_later_there_may_be_more() -> None:
    now = 0.0
    limit = AnswerLimit(1, clock=lambda: now)
    assert give(limit, "a@b.example")
    now = 3599.0
    assert not give(limit, "a@b.example")
    now = 3600.0
    assert give(limit, "a@b.example")


def test_so_many_keys_are_remembered() -> None:
    limit = AnswerLimit(1, remember=8)
    names = [f"{letter}@x.example" for letter in "abcda"]
    assert all(give(limit, name, is_proven=True) for name in names[:4])
    assert not give(limit, "c@x.example", is_proven=True)
    assert all(give(limit, f"{n}@x.example", is_proven=True) for n in range(8))
    assert give(limit, "a@x.example", is_proven=True), "it was forgotten: the database knows it"


def test_processes_share_what_they_count(database: Database) -> None:
    """What one does not know of the other it learns in the transaction, before the mail is sent."""
    one, other = AnswerLimit(3), AnswerLimit(3)
    given = [answer for limit in (one, other) for _ in range(2) if (answer := give(limit, "a@b.x"))]
    assert len(given) == 4
    with database.begin() as connection:
        assert one.settle(connection, given[:2]) == []
    with database.begin() as connection:
        assert other.settle(connection, given[2:]) == [*given[3].rows]
    assert not give(other, "A@b.x")
    assert give(one, "A@b.x"), "it has not written since"


def test_a_large_cap_is_counted_in_steps(database: Database) -> None:
    """Else all transactions with an answer to one provider would wait for each other."""
    limit = AnswerLimit(1000, 200)
    with database.begin() as connection:
        for number, written in enumerate([0, 0, 0, 4, 4, 4, 4, 8]):
            answer = give(limit, f"u{number}@large.example")
            assert answer
            assert limit.settle(connection, [answer]) == []
            rows = connection.execute(select(answers.c.number)).scalars().all()
            assert sum(rows) == written
