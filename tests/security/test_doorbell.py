"""A neighbour can neither ring at the service nor answer in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson.storage import doorbell

if TYPE_CHECKING:
    from pathlib import Path

    from tests.security.neighbour import Neighbour

TRY = """
import os, socket, sys
bell = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
for attempt in (
    lambda: bell.sendto(b"", sys.argv[1]),
    lambda: os.unlink(sys.argv[1]),
    lambda: os.rename(sys.argv[1], sys.argv[1] + ".mine"),
    lambda: bell.bind(sys.argv[1]),
    lambda: bell.bind(sys.argv[1] + ".mine"),
):
    try:
        attempt()
        print("done")
    except OSError:
        pass
"""


def test_a_neighbour_cannot_ring_or_answer(neighbour: Neighbour, street: Path) -> None:
    """Not even where the run directory may be passed through."""
    run_dir = street / "run"
    run_dir.mkdir()
    with doorbell.listen(run_dir) as bell:
        for mode in (0o700, 0o711):
            run_dir.chmod(mode)
            done = neighbour.python(TRY, str(run_dir / doorbell.SOCKET))
            assert (done.returncode, done.stdout) == (0, ""), done.stderr
        try:
            heard = bell.recv(1)
        except BlockingIOError:
            heard = None
        assert heard is None
        doorbell.ring(run_dir)
        bell.setblocking(True)
        bell.settimeout(5)
        assert bell.recv(1) == b""
