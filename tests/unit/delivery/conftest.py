"""A batch of deliveries, on both databases."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from lamson.delivery.answer_limit import AnswerLimit
from lamson.delivery.batches import Batches
from lamson.delivery.job import Job
from lamson.delivery.run import Handlers
from lamson.delivery.spam.box import SpamBox
from lamson.delivery.spam.opinion import Opinion
from lamson.delivery.transaction import Transactions
from lamson.routing.signing import Signer
from lamson.storage.database import Database
from lamson.storage.maildir import Maildir
from lamson.storage.outbox import Outbox
from lamson.storage.pending import Room
from lamson.storage.seen_key import Key
from tests.unit.delivery.jobs import Run
from tests.unit.support import make_key, make_router


@pytest.fixture
def database(database: Database) -> Database:
    with database.begin() as connection:
        connection.execute(text("CREATE TABLE note (word VARCHAR(50) PRIMARY KEY)"))
    return database


@pytest.fixture
def undeliverable(tmp_path: Path) -> Maildir:
    return Maildir(tmp_path / "undeliverable")


@pytest.fixture
def make_run(tmp_path: Path, database: Database, undeliverable: Maildir) -> Callable[..., Run]:
    """``make_run(source, **options)`` gives a function that runs messages in one batch.

    With ``to_the_end`` what that leaves without a reply is run again, as the dispatcher does.
    ``raise_errors``, ``answers``, ``is_ours``, ``mark``, ``room`` and ``spam`` are the handlers',
    ``signer`` is the router's, ``opinion`` is that on each message, other options are those of
    `Transactions`.
    """

    def make(
        source: str,
        *,
        raise_errors: bool = False,
        answers: AnswerLimit | None = None,
        is_ours: Callable[[str], bool] | None = None,
        mark: Callable[[str], str] | None = None,
        signer: Signer | None = None,
        room: Room | None = None,
        spam: SpamBox | None = None,
        opinion: Opinion | None = None,
        **more: Any,
    ) -> Run:
        router = make_router(tmp_path, source, signer)
        handlers = Handlers(
            router,
            hostname="mx.test.com",
            undeliverable=undeliverable,
            answers=answers,
            is_ours=is_ours,
            mark=mark,
            room=room,
            spam=spam,
            raise_errors=raise_errors,
        )
        options: dict[str, Any] = {
            "database": database,
            "outbox": Outbox(database, "test"),
            "undeliverable": undeliverable,
        }
        transactions = Transactions(handlers, **(options | more))

        def run(
            *messages: Any, keys: list[Key | bytes | None] | None = None, to_the_end: bool = False
        ) -> list[Job]:
            jobs = [
                Job(
                    message,
                    router.match(message.recipient.address),
                    make_key(key) if isinstance(key, bytes) else key,
                )
                for message, key in zip(messages, keys or [None] * len(messages), strict=True)
            ]
            for job in jobs:
                job.opinion = opinion
            if to_the_end:
                Batches(transactions, lambda job, seconds: None).run(jobs)
            else:
                transactions.run(jobs, lambda job, seconds: None)
            return jobs

        return run

    return make
