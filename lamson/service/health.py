"""How the service of a project is: whether its servers and its database answer, and what waits.

For `lamson status -json`, for monitoring and for the health checks of containers. It asks what is
there and changes nothing; whatever is wrong becomes a line of `problems`, never an exception.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from lamson.errors import LamsonError
from lamson.service import asking, pidfile
from lamson.storage import revisions
from lamson.storage.database import Database
from lamson.storage.tables import outbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lamson.settings.model import Settings

UNDELIVERABLE = "undeliverable"  # in the run directory


@dataclass(slots=True)
class Waiting:
    """Mail that waits to be submitted. Ages are in seconds, None where there is none."""

    messages: int
    oldest: float | None
    failing: int  # that were tried, and put off
    last_error: str  # of the oldest of those


@dataclass(slots=True)
class Kept:
    """What is in `run/undeliverable`. Sizes are in octets."""

    messages: int
    octets: int
    limit: int
    oldest: float | None


@dataclass(slots=True)
class Health:
    """``problems`` are what keeps the service from handling mail; ``late`` is what waits too long.

    ``servers`` says of each that is switched on whether it answers.
    """

    is_running: bool
    listening: str
    servers: dict[str, bool] = field(default_factory=dict)
    database: bool | None = None  # whether it can be used; None where there is none
    outbox: Waiting | None = None
    undeliverable: Kept | None = None
    problems: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)

    def shown(self) -> dict[str, Any]:
        """For JSON."""
        values = asdict(self)
        return {"healthy": not self.problems, "running": values.pop("is_running"), **values}


def look(project: Path, settings: Settings, late: float | None = None) -> Health:
    """How the service is now; what has waited for ``late`` seconds is late."""
    pid_file = settings.run_dir / pidfile.PID_FILE
    is_running = pidfile.read(pid_file) is not None
    health = Health(is_running, pidfile.read_description(pid_file))
    if is_running:
        for name, listen, ask in _servers(settings):
            health.servers[name] = _try(health.problems, f"{name} on {listen}", ask)
    else:
        health.problems.append("the service is not running")
    if settings.database is not None:
        health.database = _try(
            health.problems, "", lambda: _look_into_database(project, settings, health)
        )
    health.undeliverable = _kept(settings)
    if late is not None:
        health.late += _late(health, late)
    return health


def _servers(settings: Settings) -> Iterator[tuple[str, str, Callable[[], None]]]:
    yield "lmtp", settings.lmtp.listen, lambda: asking.lmtp(settings.lmtp)
    if settings.socketmap.listen:
        own = settings.socketmap
        yield "socketmap", own.listen, lambda: asking.socketmap(own)
    if settings.has_milter:
        yield "milter", settings.milter.listen, lambda: asking.milter(settings.milter)


def _try(problems: list[str], name: str, ask: Callable[[], None]) -> bool:
    """Whether it succeeds; else the problem is noted."""
    try:
        ask()
    except OSError as error:
        problems.append(f"{name} does not answer: {error.strerror or error}")
    except LamsonError as error:
        problems.append(str(error))
    else:
        return True
    return False


def _look_into_database(project: Path, settings: Settings, health: Health) -> None:
    assert settings.database is not None
    with closing(Database(settings.database, connections=1)) as database:
        database.check()
        try:
            with database.read() as connection:
                revisions.check(connection, project / "migrations", str(database))
                one = connection.execute(
                    select(func.count(), func.min(outbox.c.created_at)).select_from(outbox)
                ).one()
                tried = select(outbox.c.last_error).where(outbox.c.attempts > 0)
                failing = connection.scalar(select(func.count()).select_from(tried.subquery()))
                said = connection.scalar(tried.order_by(outbox.c.id).limit(1))
        except SQLAlchemyError as error:
            raise database.unavailable(error) from error
    health.outbox = Waiting(one[0], _age(one[1]), failing or 0, said or "")


def _kept(settings: Settings) -> Kept:
    sizes: list[int] = []
    times: list[float] = []
    for directory in ("new", "cur"):
        place = settings.run_dir / UNDELIVERABLE / directory
        for file in place.iterdir() if place.is_dir() else ():
            try:
                status = file.stat()
            except FileNotFoundError:  # somebody took it out
                continue
            sizes.append(status.st_size)
            times.append(status.st_mtime)
    oldest = _age(min(times, default=None))
    return Kept(len(sizes), sum(sizes), settings.max_undeliverable, oldest)


def _late(health: Health, late: float) -> Iterator[str]:
    waiting = health.outbox
    if waiting is not None and waiting.oldest is not None and waiting.oldest >= late:
        why = f": {waiting.last_error}" if waiting.last_error else ""
        number, oldest = waiting.messages, f"{waiting.oldest:.0f} s"
        yield f"{number} message(s) wait to be submitted, the oldest for {oldest}{why}"
    kept = health.undeliverable
    if kept is not None and kept.octets >= kept.limit * 0.9:
        yield f"run/{UNDELIVERABLE} is nearly full: {kept.octets} of {kept.limit} octets"


def _age(since: float | None) -> float | None:
    return None if since is None else round(max(0.0, time.time() - since), 1)
