"""The fixtures of the pytest plugin that play the application of a project."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lamson.errors import LamsonError
from lamson.testing.application import Mailroom
from lamson.testing.correspondent import Conversation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy.orm import Session

    from lamson.testing.messages import Sent


@pytest.fixture
def mailroom(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Mailroom]:
    """The application of the project that the test stands in."""
    from lamson.settings import loading

    try:
        project = loading.find_project(Path(request.path).parent, is_trusted=True)
        made = Mailroom(project, tmp_path / "run")
    except LamsonError as error:  # of one line that says it all
        pytest.fail(str(error), pytrace=False)
    yield made
    made.close()


@pytest.fixture
def conversation(mailroom: Mailroom) -> Callable[[str], Conversation]:
    """``conversation("zed@example.com")`` is a correspondent of the application."""
    return lambda author: Conversation(mailroom, author)


@pytest.fixture
def sent(mailroom: Mailroom) -> list[Sent]:
    """All that the application sent during the test, to anybody."""
    return mailroom.sent


@pytest.fixture
def db(mailroom: Mailroom) -> Iterator[Session]:
    """A session on the database of the test, to prepare and to look at."""
    from sqlalchemy.orm import Session

    # Without a lock of its own, so that the application can write in between.
    engine = mailroom.database.engine.execution_options(isolation_level="AUTOCOMMIT")
    with Session(engine) as session:
        mailroom.sessions.append(session)
        yield session


@pytest.fixture
def model_differences(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """What the models of the project say and its migrations do not make, a line each.

    The migrations are run on an empty SQLite database, and compared as `lamson syncdb -check` does.
    """
    from lamson.settings import loading
    from lamson.storage import migrate, revisions
    from lamson.storage.database import Database

    try:
        project = loading.find_project(Path(request.path).parent, is_trusted=True)
        migrations = project / "migrations"
        with loading.placing(project):
            database = Database(f"sqlite:///{tmp_path}/models.db")
            try:
                migrate.upgrade(database, migrations, revisions.TABLE)
                return migrate.differences(database, migrations, revisions.TABLE)
            finally:
                database.close()
    except LamsonError as error:
        pytest.fail(str(error), pytrace=False)
