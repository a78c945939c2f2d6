"""A batch of deliveries, on both databases."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from lamson.delivery.transaction import Batcher, Job
from lamson.storage.database import Database
from lamson.storage.maildir import Maildir
from lamson.storage.outbox import Outbox
from tests.unit.delivery.jobs import Run
from tests.unit.support import make_router


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
    """``make_run(source, **options)`` gives a function that runs messages in one batch."""

    def make(source: str, **options: Any) -> Run:
        router = make_router(tmp_path, source)
        values: dict[str, Any] = {
            "database": database,
            "outbox": Outbox(database, "test"),
            "undeliverable": undeliverable,
            "hostname": "mx.test.com",
        }
        batcher = Batcher(router, **(values | options))

        def run(*messages: Any, keys: list[bytes | None] | None = None) -> list[Job]:
            jobs = [
                Job(message, router.match(message.recipient.address), key)
                for message, key in zip(messages, keys or [None] * len(messages), strict=True)
            ]
            batcher.run(jobs, lambda job, seconds: None)
            return jobs

        return run

    return make
