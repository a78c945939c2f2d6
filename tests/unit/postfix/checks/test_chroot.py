"""lamson.postfix.checks.chroot: sockets of ours that a chrooted service cannot see."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lamson.settings import Lmtp, Milter, Socketmap
from tests.unit.postfix.paper import WORLD, project

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.postfix.paper import Paper

SMTPD = f"{WORLD}/inet"


@pytest.fixture
def queue(paper: Callable[..., Paper], tmp_path: Path) -> tuple[Paper, Path]:
    """A configuration whose queue directory is there, with a directory for our sockets."""
    one, queue = paper(), tmp_path / "queue"
    (queue / "lamson").mkdir(parents=True)
    one.run("-e", f"queue_directory={queue}")
    return one, queue


def test_unix_sockets_outside_the_chroot(paper: Callable[..., Paper], tmp_path: Path) -> None:
    one = paper(
        project(
            lmtp=Lmtp(f"unix:{tmp_path}/lmtp.sock"), socketmap=Socketmap(f"unix:{tmp_path}/map")
        )
    )
    assert one.findings() == []
    one.run("-F", "lamson/unix/chroot=y", f"{SMTPD}/chroot=y")
    assert one.codes() == ["lmtp-chroot", "socketmap-chroot"]
    for finding in one.findings():
        one.cure(finding)
    assert one.findings() == []


def test_sockets_below_the_queue_are_named_as_seen_from_there(queue: tuple[Paper, Path]) -> None:
    one, place = queue
    for path, codes in ((f"{place}/lamson/lmtp", ["lmtp-chroot"]), ("/lamson/lmtp", [])):
        lmtp = Lmtp(f"unix:{place}/lamson/lmtp")
        one.settings = project(lmtp=lmtp, postfix={"next_hop": f"lamson:unix:{path}"})
        one.apply()
        one.run("-F", "lamson/unix/chroot=y")
        assert one.codes() == codes


def test_the_socketmap_below_the_queue_is_named_as_seen_from_there(
    queue: tuple[Paper, Path],
) -> None:
    one, place = queue
    socket = f"{place}/lamson/map"
    for path, codes in ((socket, ["socketmap-chroot"]), ("/lamson/map", [])):
        one.settings = project(
            socketmap=Socketmap(f"unix:{socket}"),
            postfix={"lookups": f"unix:{path}", "smtpd": WORLD},
        )
        one.run("-X", "relay_recipient_maps")
        one.apply()
        one.run("-F", f"{SMTPD}/chroot=y")
        assert one.codes() == codes
    # proxymap(8) asks for a chrooted smtpd, and is not in the chroot itself.
    one.settings = project(socketmap=Socketmap(f"unix:{socket}"))
    one.run("-e", f"relay_recipient_maps=proxy:{one.settings.lookup('recipient')}")
    assert one.codes() == []


def test_a_milter_outside_the_chroot(paper: Callable[..., Paper], tmp_path: Path) -> None:
    one = paper(project(milter=Milter(f"unix:{tmp_path}/milter", check_recipients=True)))
    one.run("-F", f"{SMTPD}/chroot=y")
    (finding,) = one.findings()
    assert finding.code == "milter-chroot"
    one.cure(finding)
    assert one.findings() == []


def test_a_milter_below_the_queue_is_named_as_seen_from_there(queue: tuple[Paper, Path]) -> None:
    one, place = queue
    one.settings = project(milter=Milter(f"unix:{place}/lamson/milter", check_recipients=True))
    one.run("-F", f"{SMTPD}/chroot=y")
    for path, codes in ((f"{place}/lamson/milter", ["milter-chroot"]), ("lamson/milter", [])):
        one.run("-e", f"smtpd_milters=unix:{path}", "milter_default_action=tempfail")
        assert one.changes() == []
        assert one.codes() == codes


def test_a_chroot_by_the_default_of_old_configurations(
    paper: Callable[..., Paper], tmp_path: Path
) -> None:
    one = paper(project(lmtp=Lmtp(f"unix:{tmp_path}/lmtp.sock")))
    one.run("-F", "lamson/unix/chroot=-")
    assert one.codes() == []
    one.run("-e", "compatibility_level=0")
    (finding,) = one.findings()
    assert finding.code == "lmtp-chroot"
    one.cure(finding)
    assert one.findings() == []


def test_proxymap_asks_in_place_of_smtpd_and_may_be_chrooted_itself(
    paper: Callable[..., Paper], tmp_path: Path
) -> None:
    one = paper(project(socketmap=Socketmap(f"unix:{tmp_path}/map")))
    one.set_service("", "proxymap unix - - y - - proxymap")
    assert one.codes() == [], "nobody asks through it"
    maps = one.main["relay_recipient_maps"]
    one.main["relay_recipient_maps"] = maps.replace("pipemap:", "proxy:pipemap:")
    (finding,) = one.findings()
    assert finding.code == "proxymap-chroot"
    one.cure(finding)
    assert one.findings() == []


@pytest.mark.parametrize(
    "setting",
    [
        "smtpd_milters=unix:/opendkim/opendkim.sock",
        "smtpd_recipient_restrictions=reject_unauth_destination,"
        " check_policy_service unix:/opendkim/opendkim.sock",
    ],
)
def test_who_sees_others_from_within_stays_within(
    queue: tuple[Paper, Path], tmp_path: Path, setting: str
) -> None:
    """Let out, smtpd would find that socket no more, and defer all mail."""
    one, place = queue
    one.settings = project(socketmap=Socketmap(f"unix:{tmp_path}/map"))
    one.run("-X", "relay_recipient_maps")
    one.apply()
    one.run("-F", f"{SMTPD}/chroot=y")
    one.run("-e", setting)
    (finding,) = one.findings()
    assert finding.fix.startswith("postconf -F")
    (place / "opendkim").mkdir()
    (place / "opendkim/opendkim.sock").touch()
    (finding,) = one.findings()
    assert finding.code == "socketmap-chroot"
    assert finding.fix.startswith("by hand: ")
