"""The fixtures of the pytest plugin that play the application of a project."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lamson.errors import LamsonError
from lamson.testing.application import Mailroom
from lamson.testing.correspondent import Conversation
from lamson.testing.options import CHAOS, POSTFIX, THROUGH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy.orm import Session

    from lamson.testing.messages import Sent
    from lamson.testing.running import Running


@pytest.fixture(scope="session")
def lamson_running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """The service that ``--lamson-through`` asks for; the tests of a run share it."""
    from lamson.settings import loading
    from lamson.testing.running import PostfixOptions, Running

    config = request.config
    running = None
    try:
        postfix = None
        if config.getoption(THROUGH) == "postfix":
            postfix = PostfixOptions.read(config.getoption(POSTFIX))
        project = loading.find_project(config.rootpath, is_trusted=True)
        running = Running(project, tmp_path_factory.mktemp("lamson"), postfix)
        yield running.start()
    except LamsonError as error:
        pytest.fail(str(error), pytrace=False)
    finally:
        if running is not None:
            running.close()


@pytest.fixture
def mailroom(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Mailroom]:
    """The application of the project that the test stands in."""
    from lamson.settings import loading

    if request.config.getoption(THROUGH) != "nothing":
        from lamson.testing.through import ThroughMailroom

        through = ThroughMailroom(request.getfixturevalue("lamson_running"))
        yield through
        through.close()
        return
    try:
        project = loading.find_project(Path(request.path).parent, is_trusted=True)
        made = Mailroom(project, tmp_path / "run", chaos=request.config.getoption(CHAOS))
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
