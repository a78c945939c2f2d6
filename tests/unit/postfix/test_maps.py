"""lamson.postfix.maps: tables asked by a real postmap, as few times as possible."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from lamson.postfix import maps
from lamson.postfix.maps import PostmapMaps

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

REAL = shutil.which("postmap", path="/usr/sbin:/usr/bin:/usr/local/sbin")

pytestmark = pytest.mark.skipif(
    REAL is None, reason="Postfix is not installed (Debian: apt-get install postfix)"
)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "main.cf").write_text("compatibility_level = 3.6\n")
    return tmp_path


@pytest.fixture
def postmap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Callable[[], list[str]]]:
    """``postmap(script)`` puts another one before the real one; gives the lines that it logs."""
    log = tmp_path / "log"

    def put(script: str) -> Callable[[], list[str]]:
        command = tmp_path / "bin" / "postmap"
        command.parent.mkdir()
        command.write_text(f'#!/bin/sh\necho "$*" >> {log}\n{script}\n')
        command.chmod(0o755)
        monkeypatch.setenv("PATH", f"{command.parent}:/usr/bin:/bin")
        return lambda: log.read_text().splitlines()

    return put


def test_many_keys_cost_one_process_and_none_costs_two(
    directory: Path, postmap: Callable[..., Callable[[], list[str]]]
) -> None:
    log = postmap(f'exec {REAL} "$@"')
    one = PostmapMaps(("-c", str(directory)))
    table = "inline:{a=1 b=2}"
    assert one.answers(table, ["a", "c"]) == {"a": "1"}
    assert one.answers(f"proxy:{table}", ["a", "c"]) == {"a": "1"}
    assert log() == [f"-c {directory} -q - {table}"]
    assert one.answers(table, ["A"], (key for key in ("b", "c"))) == {"A": "1"}
    assert one.answers(table, ["b", "c"], ["d"]) == {"b": "2"}
    assert len(log()) == 2


def test_a_table_that_is_not_there_has_nothing(directory: Path) -> None:
    one = PostmapMaps(("-c", str(directory)))
    assert one.answers(f"texthash:{directory}/nowhere", ["a", "b"]) == {}
    assert one.answers("unheard:x", ["a"]) == {}


def test_a_key_that_cannot_be_asked_takes_none_of_the_others_along(
    directory: Path, postmap: Callable[..., Callable[[], list[str]]]
) -> None:
    postmap(
        'while read key; do case "$key" in\n'
        '  bad*) echo "postmap: fatal: table x:y: query error: No such thing" >&2; exit 1;;\n'
        '  *) printf "%s\\tfound\\n" "$key";;\nesac; done'
    )
    for keys in (["good", "bad", "bad2", "better"], ["bad", "good", "bad2", "bad3", "better"]):
        found = PostmapMaps(()).answers("x:y", keys)
        assert found == {"good": "found", "better": "found"}


def test_a_dead_table_is_not_asked_key_by_key(
    directory: Path, postmap: Callable[..., Callable[[], list[str]]]
) -> None:
    """A socketmap that refuses fails with the same words for every key, a second for each."""
    log = postmap('echo "postmap: fatal: table x:y: query error: Connection refused" >&2; exit 1')
    one = PostmapMaps(())
    assert one.answers("x:y", ["a", "b", "c", "d", "e"]) == {}
    assert len(log()) == 3, "all at once, and two alone"
    assert one.answers("x:y", ["f", "g"]) == {}
    assert len(log()) == 3


@pytest.mark.slow
def test_a_real_socketmap_that_refuses(
    directory: Path, postmap: Callable[..., Callable[[], list[str]]]
) -> None:
    log = postmap(f'exec {REAL} "$@"')
    one = PostmapMaps(("-c", str(directory)))
    assert one.answers(f"socketmap:unix:{directory}/none:recipient", ["a", "b", "c", "d"]) == {}
    assert len(log()) == 3


def test_a_silent_table_is_waited_for_once(
    directory: Path,
    postmap: Callable[..., Callable[[], list[str]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(maps, "_PATIENCE", 0.2)
    log = postmap("exec sleep 60")
    one = PostmapMaps(())
    assert one.answers("x:y", ["a"]) == {}
    assert one.answers("x:y", ["b"]) == {}
    assert len(log()) == 1


def test_a_value_of_several_lines_is_one(
    directory: Path, postmap: Callable[..., Callable[[], list[str]]]
) -> None:
    postmap('printf "a\\tone\\n  two\\nb\\tthree\\n"')
    assert PostmapMaps(()).answers("x:y", ["a", "b"]) == {"a": "one two", "b": "three"}
