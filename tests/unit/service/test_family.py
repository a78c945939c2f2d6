"""lamson.service.family: who is killed with a server, and who is not."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from lamson.service import family

if TYPE_CHECKING:
    from collections.abc import Iterator

# A server; its worker, which has started a program; and a program whose worker is dead.
SERVER = """
import subprocess, sys
from lamson.service import family
if sys.argv[1] == "leads":
    family.lead()
worker = "import subprocess, sys; print(subprocess.Popen(['sleep', '600']).pid, flush=True)"
stays = worker + "; sys.stdin.read()"
for code in (worker, stays):
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    if code == worker:
        process.wait()
print(process.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture(params=["leads", "does not"])
def server(request: pytest.FixtureRequest) -> Iterator[tuple[bool, int, list[int]]]:
    """Whether it leads a group, the server, and the others."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, request.param],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        others = [int(process.stdout.readline()) for _ in range(3)]
        yield request.param == "leads", process.pid, others
        for pid in others:
            subprocess.run(["kill", "-9", str(pid)], stderr=subprocess.DEVNULL, check=False)


def lives(pid: int) -> bool:
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout
    return bool(state) and state[0] != "Z"


def test_a_server_is_killed_with_all_that_descends_from_it(
    server: tuple[bool, int, list[int]],
) -> None:
    leads, pid, others = server
    family.kill(pid)
    # Whose parent is gone is found by the group, where the group is the server's own.
    assert [one for one in [pid, *others] if lives(one)] == ([] if leads else others[:1])


def test_one_that_has_ended_already_is_nothing_to_do() -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    family.kill(process.pid)
