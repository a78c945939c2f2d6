"""A process that a handler forks, and the connections to PostgreSQL of its worker."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
import sqlalchemy

from lamson.storage.database import Database
from tests.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy.engine import Connection

pytestmark = pytest.mark.postgres


def test_it_does_not_keep_the_locks_of_a_worker_that_died(
    url: str, connection: Connection, tmp_path: Path
) -> None:
    connection.exec_driver_sql("CREATE TABLE row (word text)")
    connection.exec_driver_sql("INSERT INTO row VALUES ('x')")
    connection.commit()
    pids = tmp_path / "pids"
    worker = os.fork()
    if worker == 0:
        with Database(url).engine.connect() as own:
            own.exec_driver_sql("SELECT * FROM row FOR UPDATE")
            if os.fork() == 0:
                with suppress(sqlalchemy.exc.OperationalError):
                    own.exec_driver_sql("SELECT 1")
                    os._exit(1)
                pids.write_text(f"{os.getpid()}\n")
            signal.pause()
    try:
        wait_for(lambda: pids.exists() and pids.read_text(), "the forked process to be refused")
    finally:
        os.kill(worker, signal.SIGKILL)
        os.waitpid(worker, 0)
    try:
        connection.exec_driver_sql("SET lock_timeout = '30s'")
        assert connection.exec_driver_sql("SELECT * FROM row FOR UPDATE").scalar() == "x"
    finally:
        os.kill(int(pids.read_text()), signal.SIGKILL)
