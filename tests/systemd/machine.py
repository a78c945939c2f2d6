"""A Debian that systemd has booted, in namespaces of its own: no virtual machine, no network."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from lamson.containers import base, wheels
from tests.server_process import ServerProcess

if TYPE_CHECKING:
    from types import TracebackType

PACKAGES = ("dbus", "procps", "python3-venv", "systemd", "systemd-sysv")

_CACHE = Path(__file__).parents[2] / ".containers"
_BOOT = Path(__file__).with_name("boot.sh")
_NAMESPACES = ("--mount", "--pid", "--net", "--ipc", "--uts", "--cgroup")


def why_not() -> str | None:
    """Why no machine can be booted here; None where it can."""
    if os.geteuid() != 0:
        return "booting systemd needs root"
    if not wheels.is_same_python(os.uname().machine):
        return "wheels for Debian's Python have to be made by one of the same version"
    missing = [name for name in ("debootstrap", "ip", "nsenter", "unshare") if not _which(name)]
    if missing:
        return f"not installed: {', '.join(missing)}"
    tried = subprocess.run(
        ["unshare", *_NAMESPACES, "--fork", "mount", "-t", "tmpfs", "tmpfs", "/mnt"],
        capture_output=True,
        text=True,
        check=False,
    )
    return tried.stderr.strip() or None if tried.returncode else None


class Machine:
    """Use as a context manager. Its file system is unpacked in the empty directory ``root``.

    Wheels of Lamson and what it needs lie in /wheels, where its pip looks, and nowhere else.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        subprocess.run(["tar", "-C", root, "-xf", base.tarball(_CACHE, PACKAGES)], check=True)
        (root / "wheels").mkdir()
        wheels.collect(root / "wheels", os.uname().machine)
        # Killing it ends, by --kill-child, init too, and all that it started.
        self._unshare = ServerProcess("the machine", root.with_suffix(".console"))

    def __enter__(self) -> Machine:
        self._unshare.start(
            ["unshare", *_NAMESPACES, "--fork", "--kill-child", "sh", _BOOT, self.root],
            self._has_booted,
            timeout=180,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._unshare.kill()

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run lines of shell in it, as root; ends at the first that fails."""
        (init,) = self._children()
        return subprocess.run(
            [
                *("nsenter", f"--target={init}", "--all", "env", "-i"),
                *("PATH=/usr/sbin:/usr/bin:/sbin:/bin", "PIP_NO_INDEX=1", "PIP_FIND_LINKS=/wheels"),
                *("PIP_QUIET=1", "PIP_DISABLE_PIP_VERSION_CHECK=1", "sh", "-euc", script),
            ],
            capture_output=True,
            text=True,
            check=False,
        )

    def __call__(self, script: str) -> str:
        """Run lines of shell that have to succeed; gives what they wrote."""
        done = self.run(script)
        if done.returncode:
            raise AssertionError(
                f"{script}: {done.returncode}\n{done.stdout}{done.stderr}\n{self.journal()}"
            )
        return done.stdout.strip()

    def journal(self) -> str:
        """What the services wrote, each line without time and host."""
        return self.run("journalctl --no-pager --output=cat").stdout

    def _has_booted(self) -> bool:
        if [_name(pid) for pid in self._children()] != ["systemd"]:
            return False  # boot.sh is at work still
        state = self.run("systemctl is-system-running").stdout.strip()
        return state in ("running", "degraded")

    def _children(self) -> list[int]:
        pid = self._unshare.pid
        return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def _name(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def _which(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
