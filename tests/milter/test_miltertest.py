"""Debian's miltertest: somebody else's idea of how an MTA speaks to a milter.

It ends with an error, and without a word, where it is told to send what the filter does not want.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.milter.projects import FilteringService

pytest.importorskip("milter", reason="pymilter is not installed (pip install '.[milter]')")

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("miltertest") is None,
        reason="miltertest is not installed (Debian: apt-get install miltertest)",
    ),
]

SCRIPTS = sorted((Path(__file__).parent / "scripts").glob("*.lua"))

FILTERS = """
@filter_recipient("nobody@(host)")
def nobody(mail: Arrival, host: str) -> Verdict:
    return Reject("5.1.1", "nobody here")

@filter_message("(user)@(host)")
def look(message: FilteredMail, user: str, host: str) -> Verdict:
    message.add_header("X-Saw", message.subject)
    if user == "bad":
        return Reject("5.7.1", "100% no")
    if user == "hold":
        return Quarantine("to be looked at")
    message.change_header("X-Tag", "TWO", 2)
    message.add_recipient("two@test.com")
    message.replace_body("New\\n")
    return None
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FilteringService]:
    with FilteringService(tmp_path_factory.mktemp("milter") / "p", FILTERS) as service:
        yield service


@pytest.mark.parametrize("script", SCRIPTS, ids=[script.stem for script in SCRIPTS])
def test_script(service: FilteringService, script: Path) -> None:
    done = subprocess.run(
        ["miltertest", "-v", "-D", f"path=unix:{service.socket}", "-s", str(script)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    print(done.stdout, done.stderr, *service.log_lines(), sep="\n")
    assert done.returncode == 0
