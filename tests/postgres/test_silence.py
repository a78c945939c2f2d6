"""A connection whose peer acknowledges everything and answers nothing."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, closing
from functools import partial
from typing import TYPE_CHECKING

import pytest
import sqlalchemy

from lamson import Mailer
from lamson.settings import Settings
from lamson.storage.database import Database
from tests.faults.proxy import Proxy, Swallow
from tests.unit.relay.rig import Rig, row, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.postgres import PostgresInstance

pytestmark = pytest.mark.postgres


def test_the_relay_goes_on_over_another_connection(
    url: str,
    postgres: PostgresInstance,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("lamson.storage.patience.SILENCE", 0.5)
    monkeypatch.setattr("lamson.relay.relay.SWEEP_INTERVAL", 0.2)
    direct = Rig(Database(url), tmp_path)
    rule = Swallow()

    async def story(rig: Rig) -> None:
        async with rig.relay():
            left = direct.commit(row(1))
            direct.outbox.release([one.id for one in left])
            await until(lambda: rig.server.taken == ["<1@test>"] and not direct.outbox.count())
            rule.strike()
            left = direct.commit(row(2))
            direct.outbox.release([one.id for one in left])
            await until(lambda: not direct.outbox.count())

    with Proxy(postgres.port, rule) as proxy:
        through = sqlalchemy.make_url(url).set(port=proxy.port).render_as_string()
        database = Database(through)
        rig = Rig(database, tmp_path)
        asyncio.run(story(rig))
        database.close()
    direct.database.close()
    assert rig.server.taken == ["<1@test>", "<2@test>"]
    assert "the server said nothing for 0.5 s" in caplog.text
    assert "Traceback" not in caplog.text


def test_a_handlers_statement_may_take_its_time(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deadline of its own watches it."""
    monkeypatch.setattr("lamson.storage.patience.SILENCE", 0.1)
    database = Database(url)
    with database.begin() as connection:
        connection.exec_driver_sql("SELECT pg_sleep(0.5)")
    database.close()


def test_who_sends_from_elsewhere_is_told(
    url: str, postgres: PostgresInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that waits for ever would keep his program from ending, too."""
    monkeypatch.setattr("lamson.storage.patience.SILENCE", 0.5)
    rule = Swallow()
    with Proxy(postgres.port, rule) as proxy, ExitStack() as stack:
        through = sqlalchemy.make_url(url).set(port=proxy.port).render_as_string()
        database = stack.enter_context(closing(Database(through)))
        settings = Settings(database=through, handlers=[], run_dir=tmp_path, domains=["test.com"])
        mailer = stack.enter_context(closing(Mailer(settings, database=database)))
        mail = partial(mailer.compose, to="ann@example.com", sender="me@test.com", subject="x")
        mailer.send(mail(body="one"))
        rule.strike()
        with pytest.raises(sqlalchemy.exc.OperationalError, match="the server said nothing"):
            mailer.send(mail(body="two"))
        mailer.send(mail(body="three"))
