"""Mail from elsewhere: how soon it leaves, and what a million messages cost that are due later.

The first: a program of its own commits a row of its own together with a mail, now and then, and
waits until the submission server has it; the real service runs beside. The second: what the relay
asks of the database at each sweep, with a thousand scheduled rows and with a million: whether any
is due, what may be claimed, and the move of those that have become due.
"""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from lamson import Mailer
from lamson.settings import loading
from lamson.storage import migrate
from lamson.storage.database import Database
from lamson.storage.outbox import Outbox
from lamson.storage.outgoing import Outgoing
from tests.bench.report import Goal, Section
from tests.postfix.sink import Sink
from tests.postgres.instance import PostgresInstance, why_not
from tests.service import LamsonService

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.comparison import Effort

MAILS = 40  # for each round
FEW, MANY = 1_000, 1_000_000
DUE = 100  # rows that become due, or are to be claimed
REPEATED = 5

_SETTINGS = """\
from lamson.settings import Settings, Submission

settings = Settings(
    handlers=["handlers_of_the_bench"], domains=["bench.test"], metadata=None,
    submission=Submission("127.0.0.1:{port}"), database={url!r},
)
"""
_HANDLERS = """\
from lamson import route

@route(r"a@bench\\.test")
def START(message):
    pass
"""
_ROWS = (
    "SELECT {base} + n, 'bench', '<' || n || '@bench.test>', 'a@bench.test',"
    " '[\"zed' || n || '@example.com\"]', 'a@bench.test zed' || n || '@example.com', {false},"
    " {content}, 0, 0, {due} + n, '', 0, '', 0, '', '', NULL, '' FROM {numbers}"
)
_SQLITE = {
    "false": "0",
    "content": "CAST('Subject: x' AS BLOB)",
    "numbers": "(WITH RECURSIVE c(n) AS (VALUES(1) UNION ALL SELECT n+1 FROM c WHERE n < {count})"
    " SELECT n FROM c)",
}
_POSTGRES = {
    "false": "false",
    "content": "CAST('Subject: x' AS bytea)",
    "numbers": "generate_series(1, {count}) AS n",
}


def measure(effort: Effort) -> Iterator[Section]:
    """Both, on SQLite and, where it is there, on PostgreSQL."""
    soon = Section("Mail from elsewhere: from its commit to its submission")
    scale = Section(f"A million scheduled messages ({MANY:,} rows beside {FEW:,})")
    with databases() as urls:
        for name, url in urls.items():
            with tempfile.TemporaryDirectory(prefix="lamson-bench-") as directory:
                times = _latencies(Path(directory), url, MAILS * effort.rounds)
            spread = (times[0], times[int(len(times) * 0.95)])
            median = statistics.median(times)
            goal = Goal(f"{name}: median, s", median, 0.1, at_least=False, spread=spread)
            soon.goals.append(goal)
        for name, url in urls.items():
            with tempfile.TemporaryDirectory(prefix="lamson-bench-") as directory:
                few, many = (_costs(Path(directory), url, count) for count in (FEW, MANY))
            for what in few:
                ratio = many[what] / few[what]
                scale.goals.append(Goal(f"{name}: {what}", ratio, 2.0, at_least=False))
                scale.remarks.append(
                    f"{name}: {what}: {few[what] * 1e3:.2f} ms, {many[what] * 1e3:.2f} ms"
                )
    yield soon
    yield scale


@contextmanager
def databases() -> Iterator[dict[str, str]]:
    """The databases: "" is a file of SQLite in the directory of the time."""
    if why_not():
        yield {"SQLite": ""}
        return
    with PostgresInstance() as postgres:
        yield {"SQLite": "", "PostgreSQL": postgres.url(postgres.create_database())}


def _latencies(directory: Path, url: str, count: int) -> list[float]:
    """Seconds from commit to submission of ``count`` mails, in order of size."""
    (directory / "config").mkdir()
    url = url or "sqlite:///run/bench.db"
    (directory / "handlers_of_the_bench.py").write_text(_HANDLERS)
    times = []
    with Sink() as sink:
        settings_py = directory / "config" / "settings.py"
        settings_py.write_text(_SETTINGS.format(port=sink.port, url=url))
        service = LamsonService(directory)
        service.command("syncdb")
        settings = loading.load(directory)
        assert settings.database is not None
        engine = create_engine(settings.database)
        mailer = Mailer(settings)
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE orders (number INTEGER)"))
        with service:
            time.sleep(1.0)  # the bell is hung
            for number in range(count):
                time.sleep(random.uniform(0.0, 0.1))
                mail = mailer.compose(
                    to="zed@example.com", sender="a@bench.test", subject=f"{number}", body="Hello."
                )
                with Session(engine) as session:
                    session.execute(text(f"INSERT INTO orders VALUES ({number})"))
                    mailer.send(mail, session)
                    session.commit()
                began = time.perf_counter()
                while len(sink.messages) <= number:
                    time.sleep(0.0005)
                times.append(time.perf_counter() - began)
        mailer.close()
        engine.dispose()
    return sorted(times)


def _costs(directory: Path, url: str, count: int) -> dict[str, float]:
    """Seconds that each question takes while ``count`` rows are scheduled."""
    database = Database(url or f"sqlite:///{directory}/{count}.db")
    migrate.upgrade_ours(database)
    words = _SQLITE if database.is_sqlite else _POSTGRES
    words = {**words, "numbers": words["numbers"].format(count=count)}
    later = _ROWS.format(base=0, due=4e9, **words)
    with database.begin() as connection:
        connection.execute(text("DELETE FROM lamson_scheduled"))
        connection.execute(text("INSERT INTO lamson_scheduled " + later.replace(":", "\\:")))
    if not database.is_sqlite:
        with database.read() as connection:
            connection.execute(text("VACUUM ANALYZE lamson_scheduled"))
    outbox = Outbox(database, "bench")
    costs: dict[str, list[float]] = {}
    for _ in range(REPEATED):
        _timed(costs, "a sweep that finds nothing", lambda: (outbox.call(), outbox.claim(500)))
        rows = [
            Outgoing("bench", f"<{n}@due>", "a@bench.test", (f"u{n}@example.com",), b"x\r\n")
            for n in range(DUE)
        ]
        with database.begin() as connection:
            outbox.insert(connection, rows)
        outbox.release([row.id for row in rows])
        _timed(costs, f"a claim of {DUE}", lambda: outbox.claim(500))
        outbox.held.end_claim()
        outbox.delete([row.id for row in rows])
        for row in rows:
            row.due_at = time.time() + 0.5
        with database.begin() as connection:
            outbox.insert(connection, rows)
        time.sleep(0.6)
        _timed(costs, f"the move of {DUE} that are due", outbox.call)
        assert outbox.count() == DUE
        outbox.delete([row.id for row in outbox.all()])
    database.close()
    return {what: statistics.median(times) for what, times in costs.items()}


def _timed(costs: dict[str, list[float]], what: str, work: object) -> None:
    assert callable(work)
    began = time.perf_counter()
    work()
    costs.setdefault(what, []).append(time.perf_counter() - began)
