"""lamson.delivery.session: the session is ours to close."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import InvalidRequestError

from lamson.errors import LamsonError
from lamson.storage.database import Database
from tests.unit.delivery.jobs import Run, codes, note, words

CLOSING = """
    from sqlalchemy.orm import DeclarativeBase, Mapped, close_all_sessions, mapped_column

    class Base(DeclarativeBase):
        pass

    class Note(Base):
        __tablename__ = "note"
        word: Mapped[str] = mapped_column(primary_key=True)

    @route("(user)@(host)")
    @stateless
    def note(message, session: Session, user, host):
        {how}
"""


@pytest.mark.parametrize(
    "how",
    [
        "session.add(Note(word='x')); session.close()",
        "session.add(Note(word='x')); session.flush(); session.close()",
        "session.add(Note(word='x')); session.reset()",
        "session.add(Note(word='x')); close_all_sessions()",
        "session.close(); session.add(Note(word='x'))",
        "with session: session.add(Note(word='x'))",
        "with session, session.begin(): session.add(Note(word='x'))",
    ],
)
def test_what_a_handler_wrote_is_there_though_it_closed_the_session(
    make_run: Callable[..., Run], database: Database, how: str
) -> None:
    run = make_run(CLOSING.format(how=how))
    assert codes(run(note("one"))) == [250]
    assert words(database) == ["x"]


KEEPING = """
    kept = []

    @route("(user)@(host)")
    @stateless
    def note(message, session: Session, delivery: Delivery, user, host):
        session.execute(text("INSERT INTO note VALUES (:word)"), {"word": message.subject})
        if message.body.startswith("refuse"):
            kept.append((session, delivery))
            raise SMTPError(550, "5.7.1", "no")
        kept.append((session, delivery))
"""


@pytest.mark.parametrize("body", ["", "refuse"])
def test_what_was_kept_for_later_is_of_no_use(
    make_run: Callable[..., Run], database: Database, body: str
) -> None:
    run = make_run(KEEPING)
    jobs = run(note("one", body))
    kept: list[Any] = jobs[0].matches[0].handler.function.__globals__["kept"]
    session, delivery = kept[0]
    with pytest.raises(InvalidRequestError, match="permanently closed"):
        session.execute(text("SELECT 1"))
    with pytest.raises(InvalidRequestError, match="permanently closed"):
        session.connection()
    for use in (delivery.forward, lambda: delivery.reply(body="x")):
        with pytest.raises(LamsonError, match="this delivery is over"):
            use()
