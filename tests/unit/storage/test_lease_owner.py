"""lamson.storage.lease_owner: whose leases in the outbox are given back, and whose are not."""

from __future__ import annotations

import errno
import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from lamson.storage import lease_owner
from lamson.storage.lease_owner import LeaseOwners
from lamson.storage.outbox import Outbox
from lamson.storage.outgoing import Outgoing

if TYPE_CHECKING:
    from pathlib import Path

    from lamson.storage.database import Database


@pytest.fixture
def owners(tmp_path: Path) -> LeaseOwners:
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    return LeaseOwners(tmp_path, run_dir)


@pytest.fixture
def outbox(database: Database, owners: LeaseOwners) -> Outbox:
    return Outbox(database, owners.name(os.getpid()))


def lease(database: Database, owner: str) -> None:
    outbox = Outbox(database, owner)
    row = Outgoing("id", f"<{owner}@test>", "a@test", ("b@test",), b"\r\n", conversation=owner)
    with database.begin() as connection:
        assert outbox.insert(connection, [row])


def ended_pid() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_what_the_dead_left_is_given_back(
    database: Database, owners: LeaseOwners, outbox: Outbox
) -> None:
    dead, alive = owners.name(ended_pid()), owners.name(os.getppid())
    ours, _, process = alive.rpartition(":")
    odd = f"{ours}:{process.partition('.')[0]}"  # somebody wrote it by hand
    elsewhere = ["other.example:/srv/mail:1", "no owner of ours", odd]
    for owner in (dead, alive, *elsewhere):
        lease(database, owner)
    owners.release_dead(outbox)
    assert sorted(outbox.owners()) == sorted([alive, *elsewhere])
    assert {row.conversation for row in outbox.claim(10)} == {dead}


@pytest.mark.parametrize("is_running", [False, True])
def test_a_number_that_somebody_else_has_now_keeps_nobody_alive(
    database: Database, owners: LeaseOwners, outbox: Outbox, *, is_running: bool
) -> None:
    """As in a container that is killed and started: the same numbers, often the same namespace."""
    alive = [owners.name(pid) for pid in (os.getpid(), os.getppid())]
    before = [f"{owner.rpartition('.')[0]}.1" for owner in alive]
    of_an_earlier_release = owners.name(os.getppid()).rpartition(".")[0]
    for owner in (*alive, *before, of_an_earlier_release):
        lease(database, owner)
    owners.release_dead(outbox, is_running=is_running)
    assert sorted(outbox.owners()) == sorted([*alive, of_an_earlier_release])


def test_a_long_project_is_known_whatever_its_process_is_called(
    tmp_path: Path, database: Database
) -> None:
    owners = LeaseOwners(tmp_path / ("deep/" * 40), tmp_path)
    outbox = Outbox(database, owners.name(os.getpid()))
    short, long = (f"{owners.name(os.getpid()).rpartition('.')[0]}.{start}" for start in (1, 10**9))
    for owner in (short, long):
        lease(database, owner)
    owners.release_dead(outbox, is_running=True)
    assert outbox.owners() == []


def test_what_a_killed_container_left_is_given_back_when_it_comes_again(
    tmp_path: Path,
    database: Database,
    owners: LeaseOwners,
    outbox: Outbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for place in ("4711-first", "4711-second"):  # each with process numbers of its own
        monkeypatch.setattr(lease_owner, "_place", lambda place=place: place)
        owners.release_dead(outbox)
        lease(database, owners.name(os.getppid()))
    monkeypatch.setattr(lease_owner, "_place", lambda: "4711-unheard-of")
    unknown = owners.name(os.getppid())
    lease(database, unknown)
    monkeypatch.setattr(lease_owner, "_place", lambda: "4711-third")
    alive = owners.name(os.getppid())
    lease(database, alive)
    owners.release_dead(outbox)
    assert sorted(outbox.owners()) == sorted([alive, unknown])
    places = (tmp_path / "run").glob("places*")
    assert [file.name for file in places] == ["places"]


def test_a_worker_comes_up_without_its_database(
    database: Database, owners: LeaseOwners, outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    lease(database, owners.name(ended_pid()))
    with database.begin() as connection:
        connection.execute(text("ALTER TABLE lamson_outbox RENAME TO gone"))
    owners.release_dead(outbox)
    assert "mail of dead processes has to wait" in caplog.text
    with database.begin() as connection:
        connection.execute(text("ALTER TABLE gone RENAME TO lamson_outbox"))
    owners.release_dead(outbox, is_running=True)
    assert outbox.owners() == []


def test_a_running_process_keeps_its_own_rows_and_minds_other_containers(
    database: Database,
    owners: LeaseOwners,
    outbox: Outbox,
) -> None:
    ours, dead = owners.name(os.getpid()), owners.name(ended_pid())
    container = dead.rpartition(":")[0] + ":0000-0.7"
    for owner in (ours, dead, container):
        lease(database, owner)
    owners.release_dead(outbox, is_running=True)
    assert sorted(outbox.owners()) == sorted([ours, container])


def test_a_process_that_ended_but_was_not_buried_is_dead(
    database: Database, owners: LeaseOwners, outbox: Outbox
) -> None:
    with subprocess.Popen(["true"]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        lease(database, owners.name(process.pid))
        owners.release_dead(outbox, is_running=True)
    assert outbox.owners() == []


def test_a_process_that_proc_hides_lives(
    database: Database, owners: LeaseOwners, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(pid: int, number: int) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    hidden = owners.name(ended_pid())
    lease(database, hidden)
    monkeypatch.setattr(os, "kill", kill)  # as for root's, where systemd has ProtectProc=invisible
    owners.release_dead(outbox, is_running=True)
    assert outbox.owners() == [hidden]


def test_a_hidden_boot_id_leaves_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = tmp_path / "machine-id"
    monkeypatch.setattr(lease_owner, "_IDENTITIES", (tmp_path / "hidden", machine))
    assert lease_owner._boot() == ""
    machine.write_text("b08dfa60\n")
    assert lease_owner._boot() == "b08dfa60"
