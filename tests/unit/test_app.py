"""The application's own part: whose leases in the outbox it gives back before it starts."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from lamson import app
from lamson.app import Application
from lamson.errors import RouteError, SettingsError
from lamson.settings.model import Settings
from lamson.storage.outbox import Outbox, Outgoing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


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


def lease(application: Application, owner: str) -> None:
    assert application.database is not None
    outbox = Outbox(application.database, owner)
    row = Outgoing("id", f"<{owner}@test>", "a@test", ("b@test",), b"\r\n", conversation=owner)
    with application.database.begin() as connection:
        assert outbox.insert(connection, [row])


def ended_pid() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


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


def test_what_the_dead_left_is_given_back(application: Application) -> None:
    assert application.outbox is not None
    dead, reborn = application.owner(ended_pid()), application.owner(os.getpid())
    alive = application.owner(os.getppid())
    elsewhere = ["other.example:/srv/mail:1", "no owner of ours"]
    recycled = application.owner(1)
    for owner in (dead, reborn, alive, recycled, *elsewhere):
        lease(application, owner)
    application.release_dead([1])
    assert sorted(application.outbox.owners()) == sorted([alive, *elsewhere])
    claimed = {row.conversation for row in application.outbox.claim(10)}
    assert claimed == {dead, reborn, recycled}


def test_what_a_killed_container_left_is_given_back_when_it_comes_again(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert application.outbox is not None
    for place in ("4711-first", "4711-second"):  # each with process numbers of its own
        monkeypatch.setattr(app, "_place", lambda place=place: place)
        application.release_dead()
        lease(application, application.owner(os.getppid()))
    monkeypatch.setattr(app, "_place", lambda: "4711-unheard-of")
    unknown = application.owner(os.getppid())
    lease(application, unknown)
    monkeypatch.setattr(app, "_place", lambda: "4711-third")
    alive = application.owner(os.getppid())
    lease(application, alive)
    application.release_dead()
    assert sorted(application.outbox.owners()) == sorted([alive, unknown])
    places = application.settings.run_dir.glob("places*")
    assert [file.name for file in places] == ["places"]


def test_a_worker_comes_up_without_its_database(
    application: Application, caplog: pytest.LogCaptureFixture
) -> None:
    assert application.database is not None
    assert application.outbox is not None
    lease(application, application.owner(1))
    with application.database.begin() as connection:
        connection.execute(text("ALTER TABLE lamson_outbox RENAME TO gone"))
    application.release_dead([1])
    assert "mail of dead processes has to wait" in caplog.text
    with application.database.begin() as connection:
        connection.execute(text("ALTER TABLE gone RENAME TO lamson_outbox"))
    application.release_dead(is_running=True)  # it has not forgotten who was lost
    assert application.outbox.owners() == []


def test_housekeeping_outlives_a_surprise(
    application: Application, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("lamson.app.LOOK_FOR_DEAD", 0.01)
    turns = []

    def release_dead(**options: object) -> None:
        turns.append(options)
        raise RuntimeError("a bug")

    monkeypatch.setattr(application, "release_dead", release_dead)

    async def story() -> None:
        await application.start()
        async with asyncio.timeout(10):
            while len(turns) < 2:
                await asyncio.sleep(0.005)
        await application.stop(1.0)

    asyncio.run(story())
    assert "housekeeping failed: a bug\nTraceback" in caplog.text


def test_a_running_process_keeps_its_own_rows_and_minds_other_containers(
    application: Application,
) -> None:
    assert application.outbox is not None
    ours, dead = application.owner(os.getpid()), application.owner(ended_pid())
    container = dead.rpartition(":")[0] + ":0000-0.7"
    for owner in (ours, dead, container):
        lease(application, owner)
    application.release_dead(is_running=True)
    assert sorted(application.outbox.owners()) == sorted([ours, container])


def test_a_process_that_ended_but_was_not_buried_is_dead(application: Application) -> None:
    assert application.outbox is not None
    with subprocess.Popen(["true"]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        lease(application, application.owner(process.pid))
        application.release_dead(is_running=True)
    assert application.outbox.owners() == []


def test_a_process_that_proc_hides_lives(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(pid: int, number: int) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    assert application.outbox is not None
    hidden = application.owner(ended_pid())
    lease(application, hidden)
    monkeypatch.setattr(os, "kill", kill)  # as for root's, where systemd has ProtectProc=invisible
    application.release_dead(is_running=True)
    assert application.outbox.owners() == [hidden]


def test_a_hidden_boot_id_leaves_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = tmp_path / "machine-id"
    monkeypatch.setattr(app, "_IDENTITIES", (tmp_path / "hidden", machine))
    assert app._boot() == ""
    machine.write_text("b08dfa60\n")
    assert app._boot() == "b08dfa60"
