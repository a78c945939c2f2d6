"""The fixture ``mailer``: a `lamson.Mailer` that tells what was sent with it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from lamson.testing.messages import sent_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lamson.storage.outgoing import Outgoing
    from lamson.testing.messages import Sent


@pytest.fixture
def mailer_settings() -> dict[str, Any]:
    """For a project to override: keys of `lamson.settings.Settings` for the fixture ``mailer``."""
    return {}


@pytest.fixture
def mailer(tmp_path: Path, mailer_settings: dict[str, Any]) -> Iterator[Any]:
    """A `lamson.Mailer` without a project, on a database of the test's own, an SQLite file.

    ``mailer.sent`` are the `Sent` messages that were committed and leave at once,
    ``mailer.scheduled`` pairs of a datetime and a `Sent`; ``mailer.url`` is that of the database,
    for the application's engine. Any envelope sender may be used, unless the settings say else.
    """
    made = _kept_mailer(tmp_path / "mailer", mailer_settings)
    yield made
    made.close()


def _kept_mailer(directory: Path, values: dict[str, Any]) -> Any:
    from datetime import UTC, datetime

    from lamson.mailer import Mailer
    from lamson.message.notes import Notary
    from lamson.settings import Settings, Submission
    from lamson.storage import migrate
    from lamson.storage.database import Database
    from lamson.storage.outbox import Outbox

    class KeptMailer(Mailer):
        def __init__(self) -> None:
            self.url: str = values.get("database") or f"sqlite:///{directory}/lamson.db"
            defaults: dict[str, Any] = {
                "database": self.url,
                "handlers": [],
                "run_dir": directory,
                "submission": Submission(any_sender=True, max_recipients=sys.maxsize),
            }
            settings = Settings(**(defaults | values))
            Notary.of(settings.run_dir, settings.milter.signing_secret())  # makes the key
            super().__init__(settings)
            self._looked_at = Database(self.url)
            migrate.upgrade_ours(self._looked_at)
            self._outbox = Outbox(self._looked_at, "test")

        @property
        def sent(self) -> list[Sent]:
            return [self._whole(row) for row in self._outbox.all()]

        @property
        def scheduled(self) -> list[tuple[datetime, Sent]]:
            waiting = self._outbox.scheduled()
            return [(datetime.fromtimestamp(row.due_at, UTC), self._whole(row)) for row in waiting]

        def _whole(self, row: Outgoing) -> Sent:
            row.content = self._outbox.content(row.id) or b""
            return sent_of(row)

        def close(self) -> None:
            super().close()
            self._looked_at.close()

    directory.mkdir()
    return KeptMailer()
