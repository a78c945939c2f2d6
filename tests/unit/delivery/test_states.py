"""lamson.delivery.run: where a message moves its author, and what becomes of one that no
state takes.
"""

from collections.abc import Callable

import pytest

from lamson.storage.database import Database
from lamson.storage.maildir import Maildir
from lamson.storage.tables import state
from tests.unit.delivery.jobs import LIST, Run, codes, note, rows, states, words
from tests.unit.support import make_message


def test_a_conversation_moves_from_state_to_state(
    make_run: Callable[..., Run], database: Database
) -> None:
    run = make_run(LIST)
    run(note("first"))
    assert states(database) == {"z@e.example": "CONFIRMING"}
    run(note("stay"))
    assert states(database) == {"z@e.example": "CONFIRMING"}
    run(note("go"))
    assert states(database) == {"z@e.example": "DONE"}


def test_two_messages_of_one_author_in_one_batch(
    make_run: Callable[..., Run], database: Database
) -> None:
    assert codes(make_run(LIST)(note("first"), note("second"))) == [250, 250]
    assert states(database) == {"z@e.example": "DONE"}


def test_a_failing_handler_moves_nobody(make_run: Callable[..., Run], database: Database) -> None:
    run = make_run(LIST)
    run(note("first"))
    assert codes(run(note("break"), note("nonsense"))) == [451, 451]
    assert states(database) == {"z@e.example": "CONFIRMING"}


def test_a_message_that_no_state_takes_is_kept(
    make_run: Callable[..., Run], undeliverable: Maildir
) -> None:
    run = make_run(LIST)
    jobs = run(note("1"), note("2"), note("3"))
    assert codes(jobs) == [250, 250, 250]
    (key,) = undeliverable.keys()
    content = undeliverable.get(key)
    assert content is not None
    assert content.startswith(b"X-Lamson-Reason: no handler takes it while z@e.example is in")
    assert b"Subject: 3" in content


def test_the_error_state_takes_the_author_and_keeps_the_message(
    make_run: Callable[..., Run], database: Database, undeliverable: Maildir
) -> None:
    run = make_run(
        """
        @route("(user)@(host)")
        def START(message, session: Session, user, host):
            session.execute(text("INSERT INTO note VALUES ('half')"))
            raise RuntimeError("broken")

        def ERROR(message, user=None, host=None):
            return None
        """
    )
    assert codes(run(note("one"), keys=[b"k"])) == [250]
    assert states(database) == {"z@e.example": "ERROR"}
    assert undeliverable.count() == 1
    assert words(database) == []
    assert codes(run(note("one"), keys=[b"k"])) == [250]
    assert undeliverable.count() == 1


def test_the_error_state_is_that_of_the_handler_which_failed(
    make_run: Callable[..., Run], database: Database
) -> None:
    run = make_run(
        """
        from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

        class Base(DeclarativeBase):
            pass

        class Note(Base):
            __tablename__ = "note"
            word: Mapped[str] = mapped_column(primary_key=True)

        @route("(user)@(host)")
        @stateless
        def note(message, session: Session, user, host):
            session.add_all([Note(word="same"), Note(word="same")])  # found out at the commit

        @route("(user)@(host)")
        def LATER(message, user, host):
            pass

        @route("start-(user)@(host)")
        def START(message, user, host):
            pass

        def ERROR(message, user=None, host=None):
            pass
        """
    )
    assert codes(run(note("one"))) == [451]
    assert states(database) == {}


HUGE = "x" * 2000


@pytest.mark.parametrize(
    "author",
    [
        f"{HUGE}@e.example",
        f"z@{'e.' * 1000}example",
        '"nul\0"@e.example',
        f"{HUGE}@e.example, {HUGE}@f.example",
        "\U0001f4ec" * 60 + "@e.example",
        "=?utf-8?b?AAAA?= <z@e.example>",
    ],
)
def test_no_author_is_too_much(
    make_run: Callable[..., Run], database: Database, author: str
) -> None:
    run = make_run(LIST)
    content = f"From: {author}\r\nSubject: a\0b\r\n\r\nx\0\r\n".encode()
    sender = f"{HUGE}@e.example"
    assert codes(run(make_message(content, sender=sender))) == [250]
    assert list(states(database).values()) == ["CONFIRMING"]
    assert codes(run(make_message(content, sender=sender))) == [250]
    assert list(states(database).values()) == ["DONE"]


def test_stateless_handlers_all_run_and_of_the_others_the_first_in_state(
    make_run: Callable[..., Run], database: Database
) -> None:
    run = make_run(
        """
        def write(session, word):
            session.execute(text("INSERT INTO note VALUES (:word)"), {"word": word})

        @route("(user)@(host)")
        @stateless
        def ONE(message, session: Session, user, host):
            write(session, "one")

        @route("(user)@(host)")
        def START(message, session: Session, user, host):
            write(session, "start")

        @route("(user)@(host)")
        def OTHER(message, session: Session, user, host):
            write(session, "other")

        @route("(user)@(host)")
        @stateless
        def TWO(message, session: Session, user, host):
            write(session, "two")
            return "what a stateless handler returns is not used"
        """
    )
    assert codes(run(note("x"))) == [250]
    assert words(database) == ["one", "start", "two"]
    assert rows(database, state) == []


def test_a_state_key_may_be_per_list(make_run: Callable[..., Run], database: Database) -> None:
    run = make_run(
        """
        @state_key_generator
        def per_user(module, message):
            return "lists:" + message.recipient.captures["user"]

        @route("(user)@(host)")
        def START(message, user, host):
            return NEXT

        @route("(user)@(host)")
        def NEXT(message, user, host):
            return START
        """
    )
    run(make_message(recipient="a@test.com"), make_message(recipient="b@test.com"))
    run(make_message(recipient="b@test.com"))
    found = {row.module: row.state for row in rows(database, state)}
    assert found == {"lists:a": "NEXT", "lists:b": "START"}


def test_without_a_database_states_live_in_memory(make_run: Callable[..., Run]) -> None:
    run = make_run(LIST, database=None, outbox=None)
    assert codes(run(note("1"), note("stay"))) == [250, 250]
    assert codes(run(note("nonsense"))) == [451]
