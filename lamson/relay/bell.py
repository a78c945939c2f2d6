"""Hears the doorbell, for the relay of one service: see `lamson.storage.doorbell`.

Of the workers of a service one listens: who has the lock of a file in the run directory, which the
system takes from the dead. The others, and one whose connection to PostgreSQL was lost, try again
every few seconds.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from contextlib import ExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from lamson import log
from lamson.storage import doorbell, failure, identity
from lamson.storage.patience import patience

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from socket import socket

    from sqlalchemy.pool import PoolProxiedConnection

    from lamson.storage.database import Database

AGAIN = 5.0  # seconds between two attempts to listen
LOCK = "outbox.bell.lock"
_MOST = 1000  # rings that are heard at one go


class Bell:
    """Calls ``wake`` on the loop's thread when somebody rings."""

    def __init__(self, database: Database, run_dir: Path, wake: Callable[[], None]) -> None:
        self._database = database
        self._run_dir = run_dir
        self._wake = wake
        self._task: asyncio.Task[None] | None = None
        self._lock = -1
        self._hung = ExitStack()  # what is listened to
        self._is_lost = asyncio.Event()
        self._has_told = False  # that nobody can ring

    def start(self) -> None:
        """Begin, on the running loop."""
        self._task = asyncio.create_task(self._listen_for_ever())

    async def stop(self) -> None:
        """Let another process listen."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._hung.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    async def _listen_for_ever(self) -> None:
        while True:
            if self._has_lock():
                self._is_lost.clear()
                if await self._hang():
                    self._wake()  # for what was rung meanwhile
                    await self._is_lost.wait()
                    self._hung.close()
            await asyncio.sleep(AGAIN)

    def _has_lock(self) -> bool:
        if self._lock < 0:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            with suppress(OSError):  # run/ is not there, or not ours to write
                lock = os.open(self._run_dir / LOCK, flags, 0o600)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    os.close(lock)
                else:
                    self._lock = lock
        return self._lock >= 0

    async def _hang(self) -> bool:
        """Begin to listen; False where that is not possible now."""
        loop = asyncio.get_running_loop()
        try:
            if self._database.is_sqlite:
                bell = self._hung.enter_context(doorbell.listen(self._run_dir))
                number, hear = bell.fileno(), partial(self._hear_socket, bell)
            else:
                with patience():
                    connection = await asyncio.to_thread(self._connect)
                self._hung.callback(_end, connection)
                driver: Any = connection.dbapi_connection
                number, hear = driver.fileno(), partial(self._hear_server, driver)
        except Exception as error:  # noqa: BLE001 - mail is found without it, too
            self._hung.close()
            if not self._has_told:
                log.logger.warning(
                    "outbox: nobody can ring, so mail that others put there waits up to %g s: %s",
                    AGAIN,
                    failure.brief(error),
                    exc_info=None if failure.is_known(error) else error,
                )
            self._has_told = True
            return False
        self._has_told = False
        loop.add_reader(number, hear)
        self._hung.callback(loop.remove_reader, number)
        return True

    def _connect(self) -> PoolProxiedConnection:
        """A connection that listens, and is nobody else's."""
        with self._database.read() as connection:
            channel = doorbell.channel(identity.schema_of(connection))
        made = self._database.engine.raw_connection()
        made.detach()
        try:
            driver: Any = made.dbapi_connection
            driver.autocommit = True
            driver.execute(f"LISTEN {channel}")
        except BaseException:
            made.close()
            raise
        return made

    def _hear_socket(self, bell: socket) -> None:
        with suppress(BlockingIOError):
            for _ in range(_MOST):
                bell.recv(1)
        self._wake()

    def _hear_server(self, driver: Any) -> None:
        try:
            driver.pgconn.consume_input()
            while driver.pgconn.notifies():
                pass
        except Exception as error:  # noqa: BLE001 - whatever it is, this connection is over
            log.logger.warning("outbox: listening anew in %g s: %s", AGAIN, failure.brief(error))
            self._hung.close()
            self._is_lost.set()
        self._wake()


def _end(connection: PoolProxiedConnection) -> None:
    """Close it without a ROLLBACK, which fails where the server has gone, and is logged then."""
    if connection.dbapi_connection is not None:
        connection.dbapi_connection.close()
    connection.invalidate()
