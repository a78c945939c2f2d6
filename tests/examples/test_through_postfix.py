"""The examples' own tests, unchanged, with a real Postfix on either side: one for all of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.examples.projects import NAMES, PLUGINS, REPOSITORY, generate
from tests.examples.through_postfix import PORTS
from tests.postfix.instance import PostfixInstance, why_not
from tests.waiting import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONFTEST = """\
from tests.examples.through_postfix import mailroom, world

__all__ = ["mailroom", "world"]
"""

pytestmark = [pytest.mark.postfix, pytest.mark.slow]


@pytest.fixture(scope="module")
def ports() -> Iterator[dict[str, object]]:
    """A Postfix that asks a socketmap and delivers to LMTP, and where all of that listens."""
    if reason := why_not():
        pytest.skip(reason)
    lmtp, socketmap, sink = free_port(), free_port(), free_port()
    postfix = PostfixInstance(
        sink_port=sink,
        routes={"test.com": f"lmtp:inet:[127.0.0.1]:{lmtp}"},
        main={
            "relay_recipient_maps": f"socketmap:inet:127.0.0.1:{socketmap}:recipient",
            "unknown_relay_recipient_reject_code": "550",
            "smtpd_reject_unlisted_sender": "no",
        },
    )
    with postfix:
        yield {
            "lmtp": lmtp,
            "socketmap": socketmap,
            "sink": sink,
            "smtp": postfix.smtp_port,
            "submission": postfix.submission_port,
            "maillog": str(postfix.base / "maillog"),
        }


@pytest.mark.parametrize("name", NAMES)
def test_its_tests_pass_behind_postfix(name: str, ports: dict[str, object], tmp_path: Path) -> None:
    project = generate(name, tmp_path / name)
    (project / "conftest.py").write_text(CONFTEST)
    told = {PORTS: json.dumps(ports), "PYTHONPATH": str(REPOSITORY)}
    environment = {**os.environ, **PLUGINS, **told}
    for command in (
        ["lamson", "syncdb"],
        ["pytest", "-q", "--tb=short", "-W", "error"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=project,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
