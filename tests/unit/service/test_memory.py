"""lamson.service.memory: what large messages took does not stay with the process."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Many threads, each of which keeps something small that was made after something large.
GROW = """
import sys, threading
from lamson.service import memory

if sys.argv[1] == "given back":
    memory.give_back_large()

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 >> 20

bytearray(30 << 20)  # glibc's limit rises when this is freed
kept = []

def work():
    for _ in range(4):
        large = bytes(8 << 20)
        kept.append(bytes(100_000))
        del large

threads = [threading.Thread(target=work) for _ in range(8)]
for one in threads:
    one.start()
for one in threads:
    one.join()
large = [b"x" * (8 << 20) for _ in range(20)]
kept.append(bytes(100_000))
large.clear()
print(resident())
"""


def resident(what: str) -> int:
    line = [sys.executable, "-c", GROW, what]
    return int(subprocess.run(line, capture_output=True, check=True, text=True).stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc")
def test_large_pieces_go_when_they_are_freed() -> None:
    assert resident("given back") < 60 < resident("kept")
