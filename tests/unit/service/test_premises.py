"""lamson.service.premises; a second user tries them in tests/security/test_private.py."""

from __future__ import annotations

import grp
import os
import stat
from typing import TYPE_CHECKING, Any

import pytest

from lamson.errors import LamsonError
from lamson.service import premises
from lamson.settings import Lmtp, Milter, Settings, Socketmap

if TYPE_CHECKING:
    from pathlib import Path

GROUP = grp.getgrgid(os.getegid()).gr_name


def make(project: Path, **values: Any) -> Settings:
    paths = {"run_dir": project / "run", "log_file": project / "logs/lamson.log"}
    return Settings(handlers=["a"], **{**paths, **values})


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_is_new_is_closed_and_not_told(tmp_path: Path) -> None:
    assert premises.enter(tmp_path, make(tmp_path)) == []
    assert {mode(tmp_path / name) for name in ("run", "logs")} == {0o700}
    assert premises.enter(tmp_path, make(tmp_path)) == []


def test_what_was_open_is_closed_and_told_in_one_line(tmp_path: Path) -> None:
    for name in ("run", "logs", "elsewhere"):
        (tmp_path / name).mkdir(mode=0o755)
    for name in ("run/lamson.pid", "run/.gitignore", "logs/lamson.log.1"):
        (tmp_path / name).touch(mode=0o644)
    for name in ("x.db-wal", "x.db-policy"):
        (tmp_path / "elsewhere" / name).touch(mode=0o644)
    (tmp_path / "target").touch(mode=0o644)
    (tmp_path / "run/link").symlink_to(tmp_path / "target")
    url = f"sqlite:///{tmp_path}/elsewhere/x.db?timeout=3"
    (told,) = premises.enter(tmp_path, make(tmp_path, database=url))
    assert told == (
        "closed to other users: run/ (was 0755, is 0700), run/lamson.pid (was 0644), "
        "logs/ (was 0755, is 0700), logs/lamson.log.1 (was 0644), elsewhere/x.db-wal (was 0644), "
        "elsewhere/x.db-policy (was 0644)"
    )
    assert mode(tmp_path / "elsewhere") == 0o755, "not ours alone"
    assert mode(tmp_path / "target") == 0o644
    assert mode(tmp_path / "run/.gitignore") == 0o644


def test_a_group_that_shares_a_directory_on_purpose_keeps_its_rights(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs").chmod(0o2755)
    (tmp_path / "logs/lamson.log").touch()
    (tmp_path / "logs/lamson.log").chmod(0o644)
    premises.enter(tmp_path, make(tmp_path))
    assert mode(tmp_path / "logs") == 0o2750
    assert mode(tmp_path / "logs/lamson.log") == 0o640


def test_a_log_beside_those_of_others_is_closed_alone(tmp_path: Path) -> None:
    log = tmp_path / "var/lamson.log"
    log.parent.mkdir()
    log.parent.chmod(0o755)
    log.touch(mode=0o644)
    project = tmp_path / "project"
    premises.enter(project, make(project, log_file=log))
    assert (mode(log.parent), mode(log)) == (0o755, 0o600)


@pytest.mark.parametrize(
    ("path", "socket_mode", "run", "sockets"),
    [
        ("sockets/x.sock", "0660", 0o700, 0o710),
        ("sockets/x.sock", "0666", 0o700, 0o711),
        ("sockets/x.sock", "0600", 0o700, 0o700),
        ("run/sockets/x.sock", "0660", 0o710, 0o710),
        ("run/x.sock", "0660", 0o710, 0o710),
    ],
)
def test_who_may_open_a_socket_passes_through(
    tmp_path: Path, path: str, socket_mode: str, run: int, sockets: int
) -> None:
    lmtp = Lmtp(f"unix:{tmp_path / path}", socket_mode=socket_mode, socket_group=GROUP)
    premises.enter(tmp_path, make(tmp_path, lmtp=lmtp))
    assert mode(tmp_path / "run") == run
    assert mode((tmp_path / path).parent) == sockets
    assert (tmp_path / path).parent.group() == GROUP


def test_the_milters_socket_counts_where_there_is_a_milter(tmp_path: Path) -> None:
    milter = Milter(f"unix:{tmp_path}/sockets/milter.sock", socket_group=GROUP)
    premises.enter(tmp_path, make(tmp_path, milter=milter))
    assert not (tmp_path / "sockets").exists()
    premises.enter(tmp_path, make(tmp_path, milter=milter, filters=["app.filters"]))
    assert mode(tmp_path / "sockets") == 0o710


def test_two_groups_pass_as_others_do(tmp_path: Path) -> None:
    other = next(one.gr_name for one in grp.getgrall() if one.gr_name != GROUP)
    lmtp = Lmtp(f"unix:{tmp_path}/sockets/l", socket_group=GROUP)
    socketmap = Socketmap(f"unix:{tmp_path}/sockets/s", socket_group=other)
    premises.enter(tmp_path, make(tmp_path, lmtp=lmtp, socketmap=socketmap))
    assert mode(tmp_path / "sockets") == 0o711


def test_directories_of_others_are_left_as_they_are(tmp_path: Path) -> None:
    queue, project = tmp_path / "queue", tmp_path / "project"
    queue.mkdir()
    queue.chmod(0o755)
    lmtp = Lmtp(f"unix:{queue}/lmtp.sock", socket_group=GROUP)
    premises.enter(project, make(project, lmtp=lmtp))
    assert (mode(queue), mode(project / "run")) == (0o755, 0o700)


def test_a_directory_that_has_more_than_sockets_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app").chmod(0o755)
    (tmp_path / "app/handlers.py").touch()
    lmtp = Lmtp(f"unix:{tmp_path}/app/lmtp.sock", socket_group=GROUP)
    premises.enter(tmp_path, make(tmp_path, lmtp=lmtp))
    assert mode(tmp_path / "app") == 0o755


def test_tables_in_run_stay_within_postfixs_reach(tmp_path: Path) -> None:
    """A proxymap(8) that reads them is not root."""
    (tmp_path / "run/postfix").mkdir(parents=True)
    (tmp_path / "run/postfix").chmod(0o755)
    (tmp_path / "run/postfix/rollback-1.json").touch()
    premises.enter(tmp_path, make(tmp_path))
    assert mode(tmp_path / "run") == 0o700
    (tmp_path / "run/postfix/transport").touch()
    premises.enter(tmp_path, make(tmp_path))
    assert (mode(tmp_path / "run"), mode(tmp_path / "run/postfix")) == (0o711, 0o755)


def test_only_root_is_told_not_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert premises.as_root() == []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert len(premises.as_root()) == 1


@pytest.mark.parametrize("name", ["run", "run/lamson.db", "run/lamson.db-wal", "logs/lamson.log"])
def test_what_root_left_closed_is_named_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    settings = make(tmp_path, database=f"sqlite:///{tmp_path}/run/lamson.db")
    premises.enter(tmp_path, settings)
    (tmp_path / "run/lamson.db-wal").touch()
    (tmp_path / "run/lamson.db").touch()
    (tmp_path / "logs/lamson.log").touch()
    closed = tmp_path / name
    monkeypatch.setattr(os, "access", lambda path, mode: path != closed)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(LamsonError, match=f"have root say: chown .* {closed}$") as found:
        premises.enter(tmp_path, settings)
    assert found.value.exit_code == os.EX_NOPERM
