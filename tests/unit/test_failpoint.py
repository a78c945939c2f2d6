"""lamson.failpoint: a process dies where a test says so, and for no other reason."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def run(code: str, **environment: str) -> tuple[int, str]:
    """Run ``code`` in a process of its own; gives its status and what it said."""
    done = subprocess.run(
        [sys.executable, "-c", f"from pathlib import Path\nfrom lamson import failpoint\n{code}"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert not done.stderr
    return done.returncode, done.stdout


def test_nothing_in_the_environment_installs_one(tmp_path: Path) -> None:
    (tmp_path / "token").touch()
    environment = {"LAMSON_FAILPOINT": "after-begin", "LAMSON_FAILPOINT_DIR": str(tmp_path)}
    code = "failpoint.reach('after-begin')\nprint(failpoint.ACTIVE)"
    assert run(code, **environment) == (0, "False\n")


def test_it_strikes_at_its_place_when_it_is_due() -> None:
    code = """
failpoint.install("after-begin", passes=2)
for name in ("after-commit", "after-commit", "after-begin", "after-begin"):
    print(name, flush=True)
    failpoint.reach(name)
print("alive", flush=True)
"""
    status, output = run(code)
    assert status == -signal.SIGKILL
    assert output.split() == ["after-commit", "after-commit", "after-begin", "after-begin"]


def test_it_strikes_once_for_each_token(tmp_path: Path) -> None:
    code = f"""
failpoint.install("after-begin", tokens=Path({str(tmp_path)!r}))
failpoint.reach("after-begin")
print("alive")
"""
    (tmp_path / "token").touch()
    assert run(code) == (-signal.SIGKILL, "")
    assert run(code) == (0, "alive\n")
    assert list(tmp_path.iterdir()) == []
