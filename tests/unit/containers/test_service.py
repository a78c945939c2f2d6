"""lamson.containers.service: what of it the engine cannot be made to do."""

from __future__ import annotations

import subprocess
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from lamson.containers.service import CommandFailed, Service

if TYPE_CHECKING:
    from collections.abc import Sequence


class Forgetful:
    """A container whose engine loses the end of what the first ``losses`` commands write."""

    def __init__(self, losses: int) -> None:
        self.losses = losses

    def start(self) -> None:
        pass

    def exec_run(self, command: Sequence[str], *, demux: bool) -> tuple[int, tuple[bytes, bytes]]:
        assert demux
        done = subprocess.run(command, capture_output=True, check=False)
        self.losses -= 1
        output = done.stdout[:-3] if self.losses >= 0 else done.stdout
        return done.returncode, (output, done.stderr)


def service(losses: int) -> Service:
    containers = SimpleNamespace(create=lambda **options: Forgetful(losses))
    return Service(SimpleNamespace(containers=containers), "one")


@pytest.mark.parametrize("losses", [0, 1, 4])
def test_what_only_reads_is_asked_until_it_is_heard_to_its_end(losses: int) -> None:
    assert service(losses).read("printf", "two words\n%s", "a b") == "two words\na b"


def test_what_is_never_heard_is_no_empty_answer() -> None:
    with pytest.raises(CommandFailed, match="one: echo 1: its output got lost each time"):
        service(1000).read("echo", "1")


def test_a_command_that_fails_is_not_asked_again() -> None:
    with pytest.raises(CommandFailed, match=r"one: .*No such file"):
        service(0).read("cat", "/no/such/file")
