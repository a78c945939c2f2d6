"""lamson.cli.child: the service of `lamson dev`. Real ones are in tests/web/test_dev.py."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path

# In the place of ours, for whoever runs `python -m lamson` there.
SERVICE = """
import os, signal, sys
from pathlib import Path

def end(*_):
    Path("ended").touch()
    sys.exit()

signal.signal(signal.SIGTERM, end)
Path("pid").write_text(str(os.getpid()))
print("lamson is listening", flush=True)
while True:
    signal.pause()
"""
TALKER = """
import os
from pathlib import Path

for descriptor in (2, 1):
    for word in (b"x" * (3 << 20), b"lamson is listening"):
        word += b"\\n"
        while word:
            word = word[os.write(descriptor, word):]
Path("said").touch()
"""
PARENT = """
import asyncio, sys
from pathlib import Path
from lamson.cli.child import Child

async def main():
    child = Child(Path(sys.argv[1]), print, print)
    await child.start()
    await child.ready.wait()
    print("ready", flush=True)
    await child.wait()

asyncio.run(main())
"""


def test_the_service_ends_with_its_parent_however_that_ends(tmp_path: Path) -> None:
    (tmp_path / "lamson").mkdir()
    (tmp_path / "lamson" / "__main__.py").write_text(SERVICE)
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n"
        assert int((tmp_path / "pid").read_text()) != os.getpid()
        parent.send_signal(signal.SIGKILL)
        parent.wait(60)
    wait_for(lambda: (tmp_path / "ended").exists(), "the service to end by SIGTERM")


def test_what_it_says_is_read_on_however_long_a_line_is(tmp_path: Path) -> None:
    """Else it would stand still, in the middle of a mail, once the pipe is full."""
    (tmp_path / "lamson").mkdir()
    (tmp_path / "lamson" / "__main__.py").write_text(TALKER)
    done = subprocess.run(
        [sys.executable, "-c", PARENT, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (tmp_path / "said").exists()
    assert done.stdout.endswith("lamson is listening\nready\n")
    assert not done.stderr
