"""The PostgreSQL that the other tests are given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import sqlalchemy
from sqlalchemy import exc

if TYPE_CHECKING:
    from tests.postgres import PostgresInstance

pytestmark = [pytest.mark.postgres, pytest.mark.slow]


def test_what_was_committed_survives_a_crash_and_an_ended_session(
    postgres: PostgresInstance, postgres_url: str
) -> None:
    name = sqlalchemy.make_url(postgres_url).database or ""
    engine = sqlalchemy.create_engine(postgres_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE kept (number int)")
        connection.exec_driver_sql("INSERT INTO kept VALUES (42)")
    with engine.connect() as connection:
        connection.exec_driver_sql("SELECT 1")
        assert postgres.terminate_backends(name) == 1
        with pytest.raises(exc.OperationalError):
            connection.exec_driver_sql("SELECT 1")
    engine.dispose()

    postgres.stop(immediate=True)
    postgres.start()

    assert postgres.execute("SELECT number FROM kept", name) == [(42,)]
