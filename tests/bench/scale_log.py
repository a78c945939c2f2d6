"""What a transaction leaves in the log of its database, and what it cost the server.

For `tests.bench.scale`. SQLite's log begins anew once all of it was copied into the database: so
its frames are counted, as its index (the file ``-shm``) tells them.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sqlalchemy import text

from tests.waiting import wait_for

if TYPE_CHECKING:
    from lamson.storage.database import Database
    from tests.postgres.instance import PostgresInstance

_FRAME_HEADER = 24  # octets before each page (https://www.sqlite.org/fileformat2.html)
_INDEX_HEADER = struct.Struct("=14xHI")  # its page size and last frame (walformat.html)


class Log(Protocol):
    """Asked before a transaction and after it."""

    def octets(self) -> int: ...

    def cpu(self) -> float: ...

    def close(self) -> None: ...


class SqliteLog:
    """There is no server, and nobody else who writes."""

    def __init__(self, path: Path) -> None:
        self._index = path.with_name(f"{path.name}-shm")
        self._last = 0
        self._frames = 0

    def octets(self) -> int:
        """All that were written, at the size of one frame."""
        if not self._index.exists():
            return 0
        with self._index.open("rb") as file:
            header = _INDEX_HEADER.unpack(file.read(_INDEX_HEADER.size))
        page, last = int(header[0]), int(header[1])
        self._frames += last - self._last if last >= self._last else last
        self._last = last
        return self._frames * (page + _FRAME_HEADER)

    def cpu(self) -> float:
        return 0.0

    def close(self) -> None: ...


class PostgresServer:
    """The one backend that `Database` has, as it has one thread here."""

    def __init__(self, postgres: PostgresInstance, database: Database) -> None:
        self._connection = postgres.connect()
        self._database = database
        self._schedule: Path | None = None

    def octets(self) -> int:
        found = self._connection.execute("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")
        return int(found.fetchall()[0][0])

    def cpu(self) -> float:
        """Seconds that the backend ran on a processor (Linux's schedstat)."""
        if self._schedule is None:
            with self._database.read() as connection:
                pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
            self._schedule = Path(f"/proc/{pid}/schedstat")
        return int(self._schedule.read_text().split()[0]) / 1e9

    def close(self) -> None:
        self._connection.close()


def write_page_images(postgres: PostgresInstance, *, is_on: bool) -> None:
    """Whether the first change of a page after a checkpoint, made here, logs all of it."""
    postgres.execute(f"ALTER SYSTEM SET full_page_writes = {'on' if is_on else 'off'}")
    postgres.execute("SELECT pg_reload_conf()")
    wanted = "on" if is_on else "off"
    wait_for(lambda: postgres.execute("SHOW full_page_writes")[0][0] == wanted, "the setting")
    postgres.execute("CHECKPOINT")  # which also waits for the process that has to know
