"""The files that `lamson gen` makes for systemd and logrotate, without a systemd that runs."""

from __future__ import annotations

import getpass
import grp
import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from lamson.cli.project import service_name
from tests.docs.blocks import DOCS
from tests.service import LamsonService

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

NAME = "lamson-mymailserver"
LOGROTATE = shutil.which("logrotate") or shutil.which("logrotate", path="/usr/sbin")


@pytest.fixture
def generated(tmp_path: Path) -> Path:
    """The directory systemd/ of a new project."""
    LamsonService(tmp_path).command("gen", "-project", "mymailserver")
    return tmp_path / "mymailserver/systemd"


def can_analyze() -> bool:
    if shutil.which("systemd-analyze") is None:
        return False
    told = subprocess.run(["systemd-analyze", "--version"], capture_output=True, text=True)
    version = re.match(r"systemd (\d+)", told.stdout)
    return version is not None and int(version[1]) >= 250


@pytest.mark.skipif(not can_analyze(), reason="systemd-analyze --offline comes with systemd 250")
def test_the_exposure_is_the_one_that_the_page_states(generated: Path) -> None:
    text = (DOCS / "how-to/systemd.md").read_text()
    stated = re.search(r"exposure ([\d.]+) by `systemd-analyze security`", text)
    assert stated is not None
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", f"{NAME}.service"],
        cwd=generated,
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"Overall exposure level for {NAME}.service: {stated[1]} " in done.stdout


@pytest.mark.skipif(not can_analyze(), reason="systemd is not installed")
@pytest.mark.parametrize("project", ["mymailserver", "lists.example.com"])
def test_systemd_understands_the_units(tmp_path: Path, project: str) -> None:
    LamsonService(tmp_path).command("gen", "-project", project)
    units = tmp_path / project / "systemd"
    name = service_name(project)
    command = units / "lamson"
    command.touch(0o755)
    service = units / f"{name}.service"
    text = service.read_text()
    assert f"ExecStart=/srv/{project}/.venv/bin/lamson " in text
    service.write_text(text.replace(f"/srv/{project}/.venv/bin/lamson", str(command)))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", service, units / f"{name}.socket"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_nothing_is_called_lamson_alone(generated: Path) -> None:
    """So that a second project can be put beside it."""
    for file in generated.iterdir():
        assert file.name.startswith(NAME)
        text = file.read_text().replace("bin/lamson start", "").replace("/etc/lamson", "")
        names = set(re.findall(r"(?<![\w./-])lamson[\w.-]*", text)) - {f"{NAME}.service"}
        assert names <= {NAME, f"{NAME}.conf", "lamson_submission__secret"}, file.name


@pytest.mark.skipif(LOGROTATE is None, reason="logrotate is not installed")
def test_logrotate_takes_the_file_and_rotates(generated: Path, tmp_path: Path) -> None:
    """As whoever runs the test, since there need be no user lamson here."""
    assert LOGROTATE is not None
    user = f"{getpass.getuser()} {grp.getgrgid(os.getgid()).gr_name}"
    logs = tmp_path / "logs"
    logs.mkdir(mode=0o755)
    (logs / "lamson.log").write_text("a line\n")
    text = (generated / f"{NAME}.logrotate").read_text()
    assert "/srv/mymailserver/logs/*.log" in text
    config = tmp_path / "logrotate.conf"
    config.write_text(
        text.replace("/srv/mymailserver/logs", str(logs)).replace(f"{NAME} {NAME}", user)
    )
    config.chmod(0o644)
    command = [LOGROTATE, "--force", "--state", str(tmp_path / "state"), str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert (logs / "lamson.log.1").read_text() == "a line\n"
    assert (logs / "lamson.log").stat().st_mode & 0o777 == 0o600
