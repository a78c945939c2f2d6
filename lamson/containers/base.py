"""The images that the Dockerfiles build upon, also where no registry can be reached.

An image that the engine has is taken as it is, else it is pulled. Where that fails, Debian is made
with debootstrap from the mirror that apt uses, with the packages that our Dockerfiles would
install, and imported under the same name: then building needs no network. The rest of a build
cannot tell the difference. What debootstrap made is kept in a cache directory.

Raises UnavailableError where an image can be had in neither way.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lamson.containers.mounts import unmount_below
from lamson.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DEBIAN = "debian:bookworm-slim"
POSTGRES = "postgres:15-bookworm"
SUITE = "bookworm"
PACKAGES = (
    *("ca-certificates", "libsasl2-modules", "openssl", "postfix", "sasl2-bin"),
    *("python3-venv", "postgresql", "opendkim"),
)
MIRROR = "http://deb.debian.org/debian"
# Left out, as in Debian's own slim image.
_LEFT_OUT = ("usr/share/doc", "usr/share/man", "usr/share/locale", "var/cache/apt", "var/lib/apt")


def ensure(client: Any, tag: str, make: Callable[[], None]) -> None:
    """See to it that the engine has the image ``tag``: by ``make`` where it cannot be pulled."""
    from docker import errors

    try:
        client.images.get(tag)
    except errors.ImageNotFound:
        try:
            client.images.pull(tag)
        except (errors.APIError, OSError):
            make()


def import_debian(client: Any, cache: Path) -> None:
    """Make Debian with our packages, and import it as `DEBIAN`."""
    name, _, tag = DEBIAN.partition(":")
    client.api.import_image_from_file(str(tarball(cache)), repository=name, tag=tag)


def tarball(cache: Path, packages: Sequence[str] = PACKAGES) -> Path:
    """Debian with ``packages`` as a tar file in ``cache``, made unless it is there."""
    wanted = hashlib.sha256(" ".join(packages).encode()).hexdigest()[:12]
    found = cache / f"{SUITE}-{wanted}.tar"
    if not found.exists():
        if os.geteuid() != 0:
            raise UnavailableError(f"{DEBIAN} cannot be pulled, and making it needs root")
        if shutil.which("debootstrap") is None:
            raise UnavailableError(
                f"{DEBIAN} cannot be pulled, and debootstrap is not installed "
                "(Debian: apt-get install debootstrap)"
            )
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="lamson-debian-", dir="/var/tmp") as work:
            try:
                _debootstrap(Path(work) / "root", packages)
                _pack(Path(work) / "root", found)
            finally:
                unmount_below(Path(work))  # an interrupted debootstrap leaves /proc mounted
    return found


def _debootstrap(root: Path, packages: Sequence[str]) -> None:
    command = [
        *("debootstrap", "--variant=minbase", f"--include={','.join(packages)}"),
        *(SUITE, str(root), mirror()),
    ]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, process_group=0
    ) as process:
        try:
            output, _ = process.communicate()
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)  # with all the programs that it has started
            raise
    if process.returncode:
        end = "\n".join(output.splitlines()[-5:])
        raise UnavailableError(f"{DEBIAN} cannot be pulled, and debootstrap failed:\n{end}")


def _pack(root: Path, target: Path) -> None:
    for path in _LEFT_OUT:
        shutil.rmtree(root / path)
        (root / path).mkdir()
    (root / "var/lib/apt/lists/partial").mkdir(parents=True)
    (root / "var/cache/apt/archives/partial").mkdir(parents=True)
    part = target.with_suffix(f".{os.getpid()}")
    try:
        subprocess.run(["tar", "-C", root, "--numeric-owner", "-cf", part, "."], check=True)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def mirror() -> str:
    """Where apt of this machine has Debian from, where it is of the same suite; else Debian's."""
    if shutil.which("apt-get") is None:
        return MIRROR
    listed = subprocess.run(
        ["apt-get", "indextargets", "--no-release-info", "--format", "$(REPO_URI) $(RELEASE)"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    found = [line.split() for line in listed.splitlines()]
    return next((line[0] for line in found if line[1:] == [SUITE]), MIRROR)
