"""How the service of a project is: whether its servers, its database and submission answer, and
what waits.

For `lamson status`, and for the status listener, which is asked by monitoring and by whatever
starts containers. It asks what is there and changes nothing; whatever is wrong becomes a line of
`problems` or `late`, never an exception, and what does not answer in time is wrong.
"""

from __future__ import annotations

import shutil
import time
from contextlib import closing
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from lamson.service import asking, pidfile
from lamson.service.looking import Look, look_at
from lamson.storage import revisions
from lamson.storage.database import Database
from lamson.storage.tables import outbox, tasks
from lamson.storage.tasks import NEVER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from lamson.service.looking import Found
    from lamson.settings.model import Settings

UNDELIVERABLE, SPAM = "undeliverable", "spam"  # in the run directory
ROOM = "room"  # of the file system that it is on
SECONDS = 10.0  # that a whole look takes at the most
LATE_TIMER = 60.0  # seconds: a task is done within one of its time
_FULL = 0.9  # of a limit
_OLDEST = 1000  # rows of the outbox that are looked at one by one
_MOST_LATE = 10_000  # tasks that are counted

State = Literal["healthy", "degraded", "down"]


@dataclass(slots=True)
class Waiting:
    """Mail that waits to be submitted. Ages are in seconds, None where there is none."""

    messages: int
    oldest: float | None
    failing: int  # of the thousand oldest: that were tried, and put off
    last_error: str  # of the oldest of those


@dataclass(slots=True)
class Timers:
    """Timers, and other work that waits for its time, whose time was a minute ago or more.

    ``oldest`` is for how many seconds, None where there is none.
    """

    late: int
    oldest: float | None


@dataclass(slots=True)
class Kept:
    """What is in `run/undeliverable`, or `run/spam`. Sizes are in octets."""

    messages: int
    octets: int
    limit: int
    oldest: float | None


@dataclass(slots=True)
class Health:
    """``problems`` are what keeps the service from handling mail; ``late`` is what waits too long,
    cannot leave, or will soon have no room.

    ``servers`` says of each that is switched on whether it answers; ``submission`` whether the
    server does that takes what handlers send, None where they can send nothing.
    """

    is_running: bool
    listening: str
    servers: dict[str, bool] = field(default_factory=dict)
    database: bool | None = None  # whether it can be used; None where there is none
    submission: bool | None = None
    outbox: Waiting | None = None
    timers: Timers | None = None
    undeliverable: Kept | None = None
    spam: Kept | None = None  # None where there is none
    problems: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)

    @property
    def state(self) -> State:
        """In a word."""
        if self.problems:
            return "down"
        return "degraded" if self.late else "healthy"

    def shown(self) -> dict[str, Any]:
        """For JSON."""
        values = asdict(self)
        head = {"state": self.state, "healthy": self.state == "healthy"}
        return {**head, "running": values.pop("is_running"), **values}


def looks(project: Path, settings: Settings) -> dict[str, Look]:
    """What there is to look at, by name."""
    found = {name: Look(ask) for name, _, ask in _servers(settings)}
    if settings.database is not None:
        found["database"] = Look(lambda: _look_into_database(project, settings))
        found["submission"] = Look(lambda: asking.submission(settings.submission))
    found[UNDELIVERABLE] = Look(lambda: _kept(settings, UNDELIVERABLE, settings.max_undeliverable))
    found[SPAM] = Look(lambda: _kept(settings, SPAM, settings.spam.max_kept))
    found[ROOM] = Look(lambda: _room(settings.run_dir))
    return found


def look(
    project: Path, settings: Settings, late: float | None = None, seconds: float = SECONDS
) -> Health:
    """How the service is now, told within ``seconds``; what has waited for ``late`` is late."""
    is_running = pidfile.read(settings.run_dir / pidfile.PID_FILE) is not None
    wanted = looks(project, settings)
    if not is_running:
        for name, _, _ in _servers(settings):
            del wanted[name]
    return tell(settings, look_at(wanted, seconds), late)


def tell(settings: Settings, found: Mapping[str, Found], late: float | None = None) -> Health:
    """How the service is, by what was found; ``late`` is else what the settings say."""
    pid_file = settings.run_dir / pidfile.PID_FILE
    is_running = pidfile.read(pid_file) is not None
    health = Health(is_running, pidfile.read_description(pid_file))
    if not is_running:
        health.problems.append("the service is not running")
    for name, listen, _ in _servers(settings):
        if name in found:
            problem = found[name].problem
            health.servers[name] = not problem
            if problem:
                health.problems.append(f"{name} on {listen} does not answer: {problem}")
    if "database" in found:
        database = found["database"]
        health.database = not database.problem
        if database.problem:
            health.problems.append(_named("database", database.problem))
        else:
            health.outbox, health.timers = database.value
    if "submission" in found:
        problem = found["submission"].problem
        health.submission = not problem
        if problem:
            where = settings.submission.server
            health.late.append(f"submission to {where} does not answer: {problem}")
    health.undeliverable = found[UNDELIVERABLE].value
    health.spam = found[SPAM].value
    if health.spam is not None and not health.spam.messages:
        health.spam = None
    health.late += _late(health, settings.status.late if late is None else late)
    for name in (UNDELIVERABLE, SPAM):
        if found[name].problem:
            health.late.append(f"run/{name} cannot be looked at: {found[name].problem}")
    room = found[ROOM].value
    if room is not None and room < settings.lmtp.max_size:
        health.late.append(
            f"the disk of {settings.run_dir} is nearly full: {room} octets are left, fewer than one"
            f" message may have (lmtp.max_size, {settings.lmtp.max_size}); make room there, or mail"
            " is answered 451"
        )
    return health


def _named(name: str, problem: str) -> str:
    return problem if problem.startswith(name) else f"{name}: {problem}"


def _servers(settings: Settings) -> Iterator[tuple[str, str, Callable[[], None]]]:
    yield "lmtp", settings.lmtp.listen, lambda: asking.lmtp(settings.lmtp)
    if settings.socketmap.listen:
        own = settings.socketmap
        yield "socketmap", own.listen, lambda: asking.socketmap(own)
    if settings.has_milter:
        yield "milter", settings.milter.listen, lambda: asking.milter(settings.milter)


def _look_into_database(project: Path, settings: Settings) -> tuple[Waiting, Timers]:
    """By indexes alone, but for the oldest rows: a long outbox must not look like an outage."""
    assert settings.database is not None
    now = time.time()
    with closing(Database(settings.database, connections=1)) as database:
        database.check()
        try:
            with database.read() as connection:
                revisions.check(connection, project / "migrations", str(database))
                messages = connection.scalar(select(func.count()).select_from(outbox)) or 0
                head = select(outbox.c.created_at, outbox.c.attempts, outbox.c.last_error)
                head = head.order_by(outbox.c.id).limit(_OLDEST)
                rows = connection.execute(head).all() if messages else []
                is_late = tasks.c.due_at.between(1.0, now - LATE_TIMER)
                late = select(tasks.c.due_at).where(is_late, tasks.c.due_at < NEVER)
                times = connection.execute(late.order_by(tasks.c.due_at).limit(_MOST_LATE))
                due = list(times.scalars())
        except SQLAlchemyError as error:
            raise database.unavailable(error) from error
    failing = [row.last_error for row in rows if row.attempts]
    oldest = _age(min((row.created_at for row in rows), default=None))
    waiting = Waiting(messages, oldest, len(failing), failing[0] if failing else "")
    return waiting, Timers(len(due), _age(due[0] if due else None))


def _kept(settings: Settings, name: str, limit: int) -> Kept:
    sizes: list[int] = []
    times: list[float] = []
    for directory in ("new", "cur"):
        place = settings.run_dir / name / directory
        for file in place.iterdir() if place.is_dir() else ():
            try:
                status = file.stat()
            except FileNotFoundError:  # somebody took it out
                continue
            sizes.append(status.st_size)
            times.append(status.st_mtime)
    return Kept(len(sizes), sum(sizes), limit, _age(min(times, default=None)))


def _room(directory: Path) -> int:
    """Octets that are left for whoever is not root."""
    return shutil.disk_usage(directory).free


def _late(health: Health, late: float) -> Iterator[str]:
    waiting = health.outbox
    if waiting is not None and waiting.oldest is not None and waiting.oldest >= late:
        why = f": {waiting.last_error}" if waiting.last_error else ""
        number, oldest = waiting.messages, f"{waiting.oldest:.0f} s"
        yield f"{number} message(s) wait to be submitted, the oldest for {oldest}{why}"
    timers = health.timers
    if timers is not None and timers.oldest is not None:
        yield f"{timers.late} timer(s) are late, the oldest by {timers.oldest:.0f} s"
    for name, kept in ((UNDELIVERABLE, health.undeliverable), (SPAM, health.spam)):
        if kept is not None and kept.octets >= kept.limit * _FULL:
            yield f"run/{name} is nearly full: {kept.octets} of {kept.limit} octets"


def _age(since: float | None) -> float | None:
    return None if since is None else round(max(0.0, time.time() - since), 1)
