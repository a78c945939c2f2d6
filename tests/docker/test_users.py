"""The fixture `mailsystem` as users have it: the how-to's tests, in a generated project."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.docker.conftest import CACHE
from tests.docs.blocks import blocks
from tests.service import LamsonService

if TYPE_CHECKING:
    from pathlib import Path

    from lamson.containers import MailSystem


def test_the_how_to_works(mailsystem: MailSystem, tmp_path: Path) -> None:
    LamsonService(tmp_path).command("gen", "-project", "mymailserver")
    project = tmp_path / "mymailserver"
    for block in blocks("how-to/test-with-containers.md"):
        (project / block.file).write_text(block.text)
    # Its cache has what was made for us already.
    (tmp_path / "lamson").mkdir()
    (tmp_path / "lamson" / "containers").symlink_to(CACHE)
    environment = {
        **os.environ,
        "DOCKER_HOST": mailsystem.engine.url,
        "XDG_CACHE_HOME": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout, done.stdout
