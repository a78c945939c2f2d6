"""@spam_filter: the handler is spared, the message kept, and its author moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lamson.delivery.spam.box import SpamBox
from lamson.delivery.spam.opinion import Opinion
from lamson.storage.maildir import Maildir
from lamson.storage.state import SqlStateStore
from lamson.storage.undeliverable import read
from tests.unit.delivery.jobs import LONG, codes, note, states, words
from tests.unit.support import make_message

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lamson.storage.database import Database
    from tests.unit.delivery.jobs import Run

LIST = """
    @route("(user)@(host)")
    @spam_filter(next_state="SPAMMING")
    def START(message, session: Session, user, host):
        session.execute(text("INSERT INTO note VALUES (:word)"), {"word": message.subject})

    @route("(user)@(host)")
    def SPAMMING(message, user, host):
        return START
"""
STAYS = LIST.replace('next_state="SPAMMING"', "")
BESIDE = (
    LIST
    + """
    @route("(user)@(host)")
    @stateless
    @spam_filter()
    def INDEX(message, session: Session, user, host):
        session.execute(text("INSERT INTO note VALUES ('index')"))

    @route("(user)@(host)")
    @stateless
    def LOG(message, session: Session, user, host):
        session.execute(text("INSERT INTO note VALUES ('log')"))
"""
)
SPAM, HAM = Opinion(True, "7 of 5"), Opinion(False)


@pytest.fixture
def box(tmp_path: Path) -> SpamBox:
    return SpamBox(Maildir(tmp_path / "spam"), days=30)


def test_spam_is_kept_from_the_handler(
    make_run: Callable[..., Run], database: Database, box: SpamBox, undeliverable: Maildir
) -> None:
    assert codes(make_run(LIST, spam=box, opinion=SPAM)(note("buy"))) == [250]
    assert words(database) == []
    assert states(database) == {"z@e.example": "SPAMMING"}
    (key,) = box.queue.keys()
    stored = box.queue.get(key)
    assert stored is not None
    kept = read(stored)
    assert kept.reason == "spam: 7 of 5"
    assert kept.state.endswith(" START")
    assert undeliverable.count() == 0


@pytest.mark.parametrize("opinion", [HAM, None])
def test_what_is_none_is_handled(
    make_run: Callable[..., Run], database: Database, box: SpamBox, opinion: Opinion | None
) -> None:
    assert codes(make_run(LIST, spam=box, opinion=opinion)(note("hello"))) == [250]
    assert words(database) == ["hello"]
    assert states(database) == {}
    assert box.queue.count() == 0


def test_without_a_next_state_its_author_stays(
    make_run: Callable[..., Run], database: Database, box: SpamBox
) -> None:
    assert codes(make_run(STAYS, spam=box, opinion=SPAM)(note("buy"))) == [250]
    assert states(database) == {}
    assert box.queue.count() == 1


def test_handlers_without_a_filter_run_and_it_is_kept_once(
    make_run: Callable[..., Run], database: Database, box: SpamBox
) -> None:
    assert codes(make_run(BESIDE, spam=box, opinion=SPAM)(note("buy"))) == [250]
    assert words(database) == ["log"]
    assert states(database) == {"z@e.example": "SPAMMING"}
    assert box.queue.count() == 1


def test_a_state_without_a_filter_takes_spam_too(
    make_run: Callable[..., Run], database: Database, box: SpamBox
) -> None:
    run = make_run(LIST, spam=box, opinion=SPAM)
    run(note("buy"))
    assert codes(run(note("buy more"))) == [250]
    assert states(database) == {"z@e.example": "START"}
    assert box.queue.count() == 1


def test_redelivery_keeps_it_once_and_a_full_queue_defers(
    make_run: Callable[..., Run], tmp_path: Path
) -> None:
    box = SpamBox(Maildir(tmp_path / "full", quota=4096), days=30)
    run = make_run(STAYS, spam=box, opinion=SPAM)
    message = make_message(note("buy").raw, queue_id=LONG)
    assert codes(run(message, keys=[b"one"])) == [250]
    assert codes(run(message, keys=[b"one"])) == [250]
    assert box.queue.count() == 1
    assert codes(run(note("another"), keys=[b"two"])) == [451]
    assert box.queue.count() == 1


@pytest.mark.parametrize(("keys", "count"), [([b"one"], 1), ([None], 2)])
def test_it_is_kept_once_though_the_commit_fails(
    make_run: Callable[..., Run],
    database: Database,
    box: SpamBox,
    monkeypatch: pytest.MonkeyPatch,
    keys: list[bytes | None],
    count: int,
) -> None:
    """As far as its delivery has a name; and its author moves when that is committed."""
    run = make_run(LIST, spam=box, opinion=SPAM)
    with monkeypatch.context() as broken:
        broken.setattr(SqlStateStore, "save", failing)
        with pytest.raises(OSError, match="as if the disk were full"):
            run(note("buy"), keys=keys)
    assert (box.queue.count(), states(database)) == (1, {})
    assert codes(run(note("buy"), keys=keys)) == [250]
    assert states(database) == {"z@e.example": "SPAMMING"}
    assert box.queue.count() == count


def failing(store: SqlStateStore, states: object) -> None:
    raise OSError("as if the disk were full")
