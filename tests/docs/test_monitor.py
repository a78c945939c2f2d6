"""docs/how-to/monitor.md: the listener of its settings answers what the page asks."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from aiosmtpd.controller import Controller

from tests.docs.blocks import blocks
from tests.service import LamsonService
from tests.waiting import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

PAGE = "how-to/monitor.md"


@pytest.fixture
def submission() -> Iterator[int]:
    """The port of a server that says hello."""
    controller = Controller(object(), hostname="127.0.0.1", port=free_port())
    controller.start()
    yield controller.port
    controller.stop()


def test_what_it_asks_is_answered(tmp_path: Path, submission: int) -> None:
    found = blocks(PAGE)
    port = str(free_port())
    for block in found:
        if block.language == "python":
            file = tmp_path / block.file
            file.parent.mkdir()
            file.write_text(block.text.replace("8826", port))
    (tmp_path / "app" / "handlers").mkdir(parents=True)
    (tmp_path / "app" / "handlers" / "sample.py").write_text(
        "from lamson import route, stateless\n\n"
        '@route("all@(host)")\n@stateless\ndef START(message, host):\n    pass\n'
    )
    typed = {block.file: block.text for block in found if block.language == "shell"}
    service = LamsonService(
        tmp_path, LAMSON_METADATA="", LAMSON_SUBMISSION__SERVER=f"127.0.0.1:{submission}"
    )
    service.command("syncdb")
    with service:
        done = subprocess.run(
            ["bash", "-euc", typed["ask"].replace("8826", port)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert '"alive": true' in done.stdout
        assert '"ready": true' in done.stdout
        assert 'lamson_state{state="healthy"} 1.0\n' in done.stdout
        assert "lamson is healthy\n" in service.command("status")
