"""Unmounts what was mounted below a directory that is to be removed, by whoever was interrupted."""

from __future__ import annotations

import subprocess
from pathlib import Path


def unmount_below(directory: Path) -> None:
    """Unmount whatever is mounted below ``directory``, the innermost first."""
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for mount in sorted((one for one in mounts if one.startswith(f"{directory}/")), reverse=True):
        subprocess.run(["umount", "--lazy", mount], check=False)
