"""lamson.postfix.checks.sockets: sockets of ours that Postfix's user may not open."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lamson.settings import Lmtp, Socketmap
from tests.unit.postfix.paper import project

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.unit.postfix.paper import Paper

OWNER = "nobody"


@pytest.fixture
def place() -> Iterator[Path]:
    """Where everybody may enter, unlike pytest's own directories; with a directory for sockets."""
    above = Path(tempfile.mkdtemp(prefix="lamson-sockets-"))
    above.chmod(0o755)
    (above / "sockets").mkdir(mode=0o755)
    with socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as other:
        one.bind(str(above / "sockets/lmtp"))
        other.bind(str(above / "sockets/map"))
        for path in (above / "sockets").iterdir():
            path.chmod(0o666)
        yield above
    shutil.rmtree(above)


@pytest.fixture
def site(paper: Callable[..., Paper], place: Path) -> Paper:
    lmtp, socketmap = Lmtp(f"unix:{place}/sockets/lmtp"), Socketmap(f"unix:{place}/sockets/map")
    one = paper(project(lmtp=lmtp, socketmap=socketmap))
    one.run("-e", f"mail_owner={OWNER}")
    return one


def test_open_sockets(site: Paper) -> None:
    assert site.findings() == []


def test_a_closed_socket(site: Paper, place: Path) -> None:
    (place / "sockets/map").chmod(0o660)
    [finding] = site.findings()
    assert finding.code == "socket-closed"
    assert f"{place}/sockets/map has mode 0660" in finding.problem
    assert "Temporary lookup failure" in finding.why
    assert finding.fix.startswith("socket_group=")


def test_a_closed_directory_of_sockets(site: Paper, place: Path) -> None:
    (place / "sockets").chmod(0o710)
    assert site.codes() == ["socket-closed", "socket-closed"]
    group = site.findings()[0].fix.partition('"')[2].partition('"')[0]
    lmtp = Lmtp(f"unix:{place}/sockets/lmtp", socket_group=group)
    site.settings = project(lmtp=lmtp, socketmap=site.settings.socketmap)
    assert site.findings()[0].fix.startswith("lamson restart")


def test_a_closed_home_is_not_to_be_opened(site: Paper, place: Path) -> None:
    place.chmod(0o700)
    assert {finding.fix.partition(",")[0] for finding in site.findings()} == {"put the project"}
    assert "chmod" not in str(site.findings())


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give files away")
def test_the_group_of_postfix_may(site: Paper, place: Path) -> None:
    for path, mode in ((place / "sockets", 0o710), (place / "sockets/map", 0o660)):
        os.chown(path, -1, pwd.getpwnam(OWNER).pw_gid)
        path.chmod(mode)
    assert site.findings() == []


def test_nothing_is_said_of_what_is_not_there(site: Paper, place: Path) -> None:
    (place / "sockets").chmod(0o700)
    (place / "sockets/map").unlink()
    (place / "sockets/lmtp").unlink()
    assert site.findings() == []
