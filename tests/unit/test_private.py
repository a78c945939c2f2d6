"""lamson.private; what a second user makes of it: tests/security/test_private.py."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from lamson import private
from lamson.errors import LamsonError

if TYPE_CHECKING:
    from pathlib import Path

APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT


def status(mode: int, user: int, group: int = 0) -> os.stat_result:
    return os.stat_result((mode, 1, 1, 1, user, group, 0, 0, 0, 0))


def test_our_own_link_is_followed_and_the_file_is_closed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("over/there")
    (tmp_path / "over").mkdir()
    os.close(private.open_file(tmp_path / "link", APPEND))
    assert (tmp_path / "over/there").stat().st_mode & 0o777 == 0o600


def test_standard_output_may_be_the_log(tmp_path: Path) -> None:
    os.close(private.open_file(tmp_path / "x", APPEND))
    os.close(private.open_file(tmp_path / "x", os.O_WRONLY))
    with open(tmp_path / "x", "w") as file:
        os.close(private.open_file(tmp_path.__class__(f"/proc/self/fd/{file.fileno()}"), APPEND))


def test_links_in_a_circle_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("link")
    with pytest.raises(OSError, match="Too many levels"):
        private.open_file(tmp_path / "link", APPEND)


@pytest.mark.parametrize(
    ("mode", "user", "problem"),
    [
        (0o100644, 0, ""),
        (0o100644, 1000, ""),
        (0o100664, 1000, ""),  # a team's
        (0o100646, 1000, "everybody can write to it"),
        (0o120777, 1000, ""),  # a link has no mode
        (0o120777, 12345, "it belongs to user 12345"),
        (0o100600, 12345, "it belongs to user 12345"),
    ],
)
def test_what_a_user_trusts(
    monkeypatch: pytest.MonkeyPatch, mode: int, user: int, problem: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("SUDO_UID", "12345")  # means nothing to one who is not root
    assert private.flaw(status(mode, user, 1000)) == problem


def test_what_root_trusts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.delenv("SUDO_UID", raising=False)
    assert private.flaw(status(0o100664, 0, 0)) == ""
    assert "its group can write to it" in private.flaw(status(0o100664, 0, 1000))
    assert private.flaw(status(0o100644, 12345)) == "it belongs to user 12345"
    monkeypatch.setenv("SUDO_UID", "12345")
    assert private.flaw(status(0o100644, 12345)) == ""


def test_a_place_is_as_good_as_each_directory_above_it(tmp_path: Path) -> None:
    place = tmp_path / "a/b/file"
    place.parent.mkdir(parents=True)
    place.touch()
    private.check_place(place)  # below /tmp, where everybody may write, but not to this
    place.parent.parent.chmod(0o777)
    with pytest.raises(LamsonError, match=r"/a: everybody can write to it.*nothing was done"):
        private.check_place(place)
    place.parent.parent.chmod(0o1777)
    private.check_place(place)


def test_source_is_written_as_the_user_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.umask(0o022)
    try:
        private.close_process()
        assert os.umask(0o077) == 0o077
        with private.shared():
            assert os.umask(0o022) == 0o022
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(before)
        monkeypatch.setattr(private, "_users_umask", None)
    with private.shared():
        assert os.umask(before) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_what_is_done_in_the_directory_of_another_is_done_as_him(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The process of the tests has threads of its own, which do nothing in between.
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    groups = os.getgroups()

    def rights() -> tuple[int, int, list[int]]:
        return os.geteuid(), os.getegid(), os.getgroups()

    def inside() -> tuple[int, int, list[int]]:
        with private.as_owner_of(theirs):
            return rights()

    before = rights()
    assert inside() == before, "our own"
    os.chown(theirs, 12345, 0)
    assert inside() == (12345, 12345, [])
    with pytest.raises(ZeroDivisionError), private.as_owner_of(theirs):
        raise ZeroDivisionError
    assert rights() == before
    assert os.getgroups() == groups
    monkeypatch.undo()
    over = threading.Event()
    other = threading.Thread(target=over.wait)
    other.start()
    assert inside() == before, "it would be so for that thread, too"
    over.set()
    other.join()
    with private.as_owner_of(tmp_path / "nowhere"):
        assert rights() == before
