"""`lamson postfix` in this process; what it does to a real Postfix is in tests/postfix."""

from __future__ import annotations

import errno
import json
import os
import shutil
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.cli.conftest import Done

pytestmark = pytest.mark.skipif(
    shutil.which("postconf", path="/usr/sbin:/usr/bin:/usr/local/sbin") is None,
    reason="Postfix is not installed (Debian: apt-get install postfix)",
)


def test_maps(lamson: Callable[..., Done], project: Path) -> None:
    done = lamson("postfix", "maps", "-config", str(make_etc(project)))
    assert done.status == 0
    directory = project / "etc" / "lamson"
    assert directory.stat().st_mode & 0o777 == 0o755
    names = ("transport", "recipients", "domains")
    assert done.out.splitlines() == [f"wrote regexp:{directory / name}" for name in names]
    assert r"/^(([a-z])+@test\.com)$/ routed" in (directory / "recipients").read_text()
    assert lamson("postfix", "maps", "-directory", "elsewhere", "-type", "pcre").status == 0
    assert (project / "elsewhere" / "domains").exists()


def test_maps_of_each_application_have_a_place_of_their_own(
    lamson: Callable[..., Done], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    etc = make_etc(project)
    monkeypatch.setenv("LAMSON_POSTFIX__CONFIG_DIRECTORY", str(etc))
    monkeypatch.setenv("LAMSON_POSTFIX__TRANSPORT", "lamson-second")
    assert lamson("postfix", "maps").status == 0
    assert (etc / "lamson-second" / "recipients").exists()
    assert f"regexp:{etc}/lamson-second/recipients" in lamson("postfix", "plan").out


def test_maps_where_others_could_exchange_them(lamson: Callable[..., Done], project: Path) -> None:
    (project / "open").mkdir()
    (project / "open").chmod(0o777)
    done = lamson("postfix", "maps", "-directory", "open")
    assert (done.status, done.err.count("\n")) == (os.EX_NOPERM, 1)
    assert "everybody can write to it" in done.err
    assert list((project / "open").iterdir()) == []


def test_maps_by_who_may_not_write_there(
    lamson: Callable[..., Done], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mkdir(path: Path, **_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    etc = make_etc(project)
    monkeypatch.setattr("pathlib.Path.mkdir", mkdir)
    done = lamson("postfix", "maps", "-config", str(etc))
    assert (done.status, done.err.count("\n")) == (os.EX_NOPERM, 1)
    assert f"{etc}/lamson: Permission denied; run this as root" in done.err


def make_etc(project: Path) -> Path:
    etc = project / "etc"
    etc.mkdir()
    (etc / "main.cf").write_text("compatibility_level = 3.6\n")
    (etc / "master.cf").write_text("lmtp unix - - n - - lmtp\n")
    return etc


def test_maps_of_a_host_that_is_no_list(
    lamson: Callable[..., Done], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAMSON_ROUTE_DEFAULTS__HOST", "[a-z]+")
    done = lamson("postfix", "maps", "-config", str(make_etc(project)))
    assert done.status == 78
    assert "no finite list" in done.err
    assert done.err.count("\n") == 1
    assert not (project / "etc" / "lamson").exists()


def test_plan_apply_undo_and_check(lamson: Callable[..., Done], project: Path) -> None:
    etc = project / "etc"
    etc.mkdir()
    (etc / "main.cf").write_text("compatibility_level = 3.6\n")
    (etc / "master.cf").write_text("lmtp unix - - n - - lmtp\n")
    planned = lamson("postfix", "plan", "-config", "etc")
    assert planned.status == 1
    assert "+relay_domains = test.com\n" in planned.out
    assert (etc / "main.cf").read_text() == "compatibility_level = 3.6\n"
    applied = lamson("postfix", "apply", "-config", "etc", "-unproven")
    assert applied.status == 0
    assert "main.cf: set relay_domains\n" in applied.out
    assert lamson("postfix", "plan", "-config", "etc").status == 0
    checked = lamson("postfix", "check", "-config", "etc", "-offline", "-json")
    assert checked.status == 1
    kinds = {finding["code"]: finding["kind"] for finding in json.loads(checked.out)}
    assert kinds["no-tables"] == "wrong"
    assert kinds["untried-services"] == "untried", "what nobody has looked at is not well"
    rollback = next((etc / "lamson").glob("rollback-*.json"))
    assert rollback.stat().st_mode & 0o777 == 0o600
    assert lamson("postfix", "apply", "-config", "etc", "-undo", str(rollback)).status == 0
    assert lamson("postfix", "plan", "-config", "etc").out == planned.out


def test_apply_says_of_each_line_what_became_of_it(
    lamson: Callable[..., Done], project: Path
) -> None:
    """A macro and a foreign service stop no line that is safe."""
    etc = project / "etc"
    etc.mkdir()
    lines = "mine = no\nsmtpd_forbid_bare_newline = $mine\n"
    (etc / "main.cf").write_text(f"compatibility_level = 3.6\n{lines}")
    (etc / "master.cf").write_text("lamson unix - - n - - pipe\n")
    done = lamson("postfix", "apply", "-config", "etc", "-unproven")
    assert done.status == 1
    said = done.out.splitlines()
    for line in (
        "main.cf: set enable_long_queue_ids",
        "main.cf: set relay_recipient_maps",
        "left to you: main.cf: smtpd_forbid_bare_newline: the value has a $ macro; change it by"
        " hand",
        "left to you: master.cf: lamson/unix: another service, pipe, has this address",
    ):
        assert line in said, done.out
    main = (etc / "main.cf").read_text()
    assert lines in main
    assert "enable_long_queue_ids = yes" in main
    assert "transport_maps" not in main, "mail would go to the foreign service"


def test_apply_only(lamson: Callable[..., Done], project: Path) -> None:
    etc = project / "etc"
    etc.mkdir()
    (etc / "main.cf").write_text("compatibility_level = 3.6\n")
    (etc / "master.cf").write_text("lmtp unix - - n - - lmtp\n")
    command = ("postfix", "apply", "-config", "etc", "-unproven", "-only")
    done = lamson(*command, "relay_domain")
    assert done.out.splitlines() == ["relay_domain: nothing to change", "nothing to change"]
    done = lamson(*command, "relay_domains")
    assert done.status == 1
    assert done.out.startswith("left to you: main.cf: relay_domains: ")
    assert "transport_maps" in done.out
    assert (etc / "main.cf").read_text() == "compatibility_level = 3.6\n"
    done = lamson(*command, "enable_long_queue_ids")
    assert "enable_long_queue_ids = yes" in (etc / "main.cf").read_text()


@pytest.mark.parametrize("command", ["plan", "apply", "check"])
def test_a_directory_that_is_none(lamson: Callable[..., Done], project: Path, command: str) -> None:
    done = lamson("postfix", command, "-config", "nowhere")
    assert done.status == 78
    assert "main.cf" in done.err
    assert done.err.count("\n") == 1
