"""lamson.app.application: what it makes of its settings, and that its parts know each other."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

from lamson.app import Application
from lamson.delivery.job import Job
from lamson.errors import DatabaseError, RouteError, SettingsError, UnavailableError
from lamson.relay.relay import Relay
from lamson.routing.bounces import BounceAddresses
from lamson.settings.keys import signer_of
from lamson.settings.model import Settings
from lamson.settings.submission import Submission
from lamson.smtp.envelope import Envelope, Peer, QueueId
from lamson.storage import migrate
from lamson.storage.database import Database
from lamson_milter.rules import recipient_check
from tests.unit.support import make_message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lamson.smtp.reply import Reply
    from lamson.storage.outbox import Outbox


@pytest.fixture
def application(tmp_path: Path) -> Iterator[Application]:
    settings = Settings(
        handlers=[], database=f"sqlite:///{tmp_path}/lamson.db", run_dir=tmp_path / "run"
    )
    application = Application(tmp_path, settings)
    assert application.database is not None
    application.database.create_all()
    yield application
    application.database.close()


def test_templates_are_where_the_settings_say(tmp_path: Path) -> None:
    file = tmp_path / "config" / "settings.py"
    file.parent.mkdir()
    file.write_text(
        "from lamson.settings import Settings\n"
        "settings = Settings(\n"
        "    handlers=[],\n"
        "    templates=['app/templates', 'mail'],\n"
        ")\n"
    )
    with pytest.raises(SettingsError, match=r"settings\.py:4: templates: .*/mail$") as no:
        Application.load(tmp_path)
    assert no.value.exit_code == os.EX_CONFIG
    (tmp_path / "mail").mkdir()
    Application.load(tmp_path)  # the usual directory is missing where nothing is in templates


def test_a_capture_with_a_name_that_templates_need_is_found_at_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "handlers_with_a_reserved_capture"
    (tmp_path / f"{name}.py").write_text(
        "from lamson import route\n"
        '@route("(local)@x", local=".+")\n'
        "def START(message, local): ...\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    settings = Settings(handlers=[name], run_dir=tmp_path / "run")
    with pytest.raises(
        RouteError,
        match=r"\(local\) cannot be the name of a capture: templates have a meaning of their own",
    ) as refused:
        Application(tmp_path, settings)
    assert refused.value.exit_code == 78
    assert refused.value.file.endswith(f"{name}.py")
    assert refused.value.line == 2


def test_a_patient_one_checks_its_database_before_it_writes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "settings.py").write_text(
        "from lamson.settings import Settings\n"
        "settings = Settings(handlers=[], database='sqlite:///data/lamson.db')\n"
    )
    with pytest.raises(UnavailableError):
        Application.load(tmp_path)
    application = Application.load(tmp_path, is_patient=True)
    database = application.database
    assert database is not None
    assert "mail is answered 451 until it can" in caplog.text
    with pytest.raises(UnavailableError), database.begin():
        pass
    (tmp_path / "data").mkdir()
    with pytest.raises(DatabaseError, match="no tables"), database.begin():
        pass
    migrate.upgrade_ours(Database(f"sqlite:///{tmp_path}/data/lamson.db"))
    assert not application.clock.is_read
    with database.begin():
        assert application.clock.is_read
    database.close()


def test_the_relay_knows_what_the_dispatcher_has_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that Postfix took are deleted with the next delivery's work, where one is under way."""
    asked: list[Callable[[float], bool]] = []

    def make(*arguments: Any, is_busy: Callable[[float], bool], **options: Any) -> Relay:
        asked.append(is_busy)
        return Relay(*arguments, is_busy=is_busy, **options)

    monkeypatch.setattr("lamson.app.postroom.Relay", make)
    settings = Settings(handlers=[], database="sqlite://", run_dir=tmp_path / "run")
    application = Application(tmp_path, settings)
    (is_busy,) = asked
    assert not is_busy(0.0)
    application.dispatcher._pending.add(Job(make_message(), [], None))
    assert is_busy(0.0)


def test_housekeeping_outlives_a_surprise(
    application: Application, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("lamson.storage.housekeeping.LOOK_FOR_DEAD", 0.01)
    turns = []

    def release_dead(outbox: Outbox, **options: object) -> None:
        turns.append(options)
        raise RuntimeError("a bug")

    monkeypatch.setattr(application.lease_owners, "release_dead", release_dead)

    async def story() -> None:
        await application.start()
        async with asyncio.timeout(10):
            while len(turns) < 2:
                await asyncio.sleep(0.005)
        await application.stop(1.0)

    asyncio.run(story())
    assert "housekeeping failed: a bug\nTraceback" in caplog.text


def test_a_relay_that_fails_at_the_end_costs_neither_clock_nor_database(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And housekeeping begins nothing while the relay drains."""
    assert application.relay is not None
    assert application.database is not None
    done: list[str] = []

    async def drain(timeout: float) -> None:
        done.append("drain")
        raise RuntimeError("a bug")

    async def tidy() -> None:
        done.append("save the clock")

    monkeypatch.setattr(application.relay, "drain", drain)
    assert application.postroom is not None
    housekeeping = application.postroom.housekeeping
    monkeypatch.setattr(housekeeping, "cancel", lambda: done.append("cancel"))
    monkeypatch.setattr(housekeeping, "stop", tidy)
    monkeypatch.setattr(application.database, "close", lambda: done.append("close"))
    with pytest.raises(RuntimeError, match="a bug"):
        asyncio.run(application.stop(1.0))
    assert done == ["cancel", "drain", "save the clock", "close"]


COUNTING = """
from lamson import route, stateless

ran = []

@route("(user)@test.com", user="[a-z]+")
@stateless
def COUNT(message, user):
    ran.append(user)
"""


@pytest.mark.parametrize("value", ["0", "1"])
def test_no_environment_makes_it_handle_a_message_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    (tmp_path / "counting.py").write_text(COUNTING)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "counting", raising=False)
    monkeypatch.setenv("LAMSON_SKIP_SEEN_CHECK", value)
    settings = Settings(
        handlers=["counting"], database=f"sqlite:///{tmp_path}/lamson.db", run_dir=tmp_path / "run"
    )
    application = Application(tmp_path, settings)
    assert application.database is not None
    application.database.create_all()
    dispatcher = application.dispatcher
    envelope = Envelope("zed@example.com", ("a@test.com",), Peer(ident=QueueId("4QzXwN0Jk1z5tVb")))

    async def deliver() -> Reply:
        answered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        routed = [dispatcher.route("a@test.com")]
        dispatcher.deliver(
            envelope, b"\r\n", routed, lambda index, reply: answered.set_result(reply)
        )
        async with asyncio.timeout(10):
            return await answered

    async def story() -> list[int]:
        await application.start()
        codes = [(await deliver()).code for _ in range(2)]
        await application.stop(1.0)
        return codes

    assert asyncio.run(story()) == [250, 250]
    assert sys.modules["counting"].ran == ["a"]


def test_bounce_addresses_are_known_at_every_door(tmp_path: Path) -> None:
    """At RCPT of LMTP and in the milter's check, which both ask the router."""
    settings = Settings(
        handlers=[],
        database="sqlite://",
        run_dir=tmp_path / "run",
        domains=["test.com"],
        submission=Submission(track=True, notify="success, failure"),
    )
    application = Application(tmp_path, settings)
    assert application.database is not None
    application.notary  # noqa: B018 - which makes the key, as the start of the service does
    check = recipient_check(application.router, application.domains)
    good = BounceAddresses(signer_of(settings)).address("a" * 16, "test.com")
    assert check(good) is None
    assert check(good.replace("bounces+", "bounces+a")) is not None
    (match,) = application.router.match(good)
    assert match.handler.full_name == "lamson.delivery.reports.take"
    assert settings.submission.notify == "SUCCESS,FAILURE"
    application.database.close()
