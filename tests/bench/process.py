"""What a tree of processes has cost so far, from /proc (Linux)."""

from __future__ import annotations

import os
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time of the process and its living descendants, in seconds.

    Descendants that have ended count where their parent has waited for them.
    """
    return sum(sum(map(int, _stat(one)[11:15])) / _TICK for one in _tree(pid))


def children(pid: int) -> list[int]:
    """The process ids of its living descendants."""
    return _tree(pid)[1:]


def peak_memory(pid: int) -> int:
    """The most octets of resident memory that the process has had (VmHWM, with shared pages)."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def _tree(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return [one for one in found if _stat(one)]


def _stat(pid: int) -> list[str]:
    """The fields of proc(5)'s stat behind the name in brackets; [] where the process has gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text.rpartition(")")[2].split()
