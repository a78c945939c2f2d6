"""A Docker engine to run containers with: the one that answers, else one of our own.

Our own needs root and Debian's docker.io. It has its directories, socket and pid file in a place of
its own, touches neither the routing of the machine nor its firewall, but for one rule where that is
asked (`.firewall`), and is ended, with all it made, when it is not needed any more, also when this
process is killed. Where there is neither, UnavailableError says why.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lamson.containers import firewall
from lamson.containers.mounts import unmount_below
from lamson.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

USUAL = "unix:///var/run/docker.sock"
CALL = 180  # seconds for a call; some builds take a while
START = 60.0  # seconds that an engine may take to start, or to end


@dataclass(frozen=True, slots=True)
class Engine:
    """A running engine: its URL, as DOCKER_HOST has it, and a docker.DockerClient."""

    url: str
    client: Any


@contextmanager
def running_engine() -> Iterator[Engine]:
    """An engine to use. Raises UnavailableError where none answers and none can be started."""
    url = os.environ.get("DOCKER_HOST") or USUAL
    with ExitStack() as stack:
        engine = _connected(url) or stack.enter_context(_own_engine())
        stack.callback(engine.client.close)
        yield engine


def _sdk() -> Any:
    try:
        import docker
    except ImportError:
        raise UnavailableError(
            "the Docker SDK is not installed (pip install 'lamson-postfix[containers]')"
        ) from None
    return docker


def _connected(url: str) -> Engine | None:
    """The engine at ``url``, such as unix:///var/run/docker.sock; None where none answers."""
    docker = _sdk()
    if url.startswith("unix://") and not _accepts(url.removeprefix("unix://")):
        return None
    try:
        # from_env: what else the environment says, of TLS above all.
        client = docker.from_env(environment={**os.environ, "DOCKER_HOST": url}, timeout=CALL)
    except docker.errors.DockerException:
        return None
    try:
        client.ping()
    except (docker.errors.DockerException, OSError):
        client.close()
        return None
    return Engine(url, client)


def _accepts(path: str) -> bool:
    # The SDK would leave a socket behind with each attempt that fails.
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(path) == 0


@contextmanager
def _own_engine() -> Iterator[Engine]:
    if os.environ.get("DOCKER_HOST"):
        raise UnavailableError(f"no Docker engine answers at {os.environ['DOCKER_HOST']}")
    if os.geteuid() != 0:
        raise UnavailableError("no Docker engine runs here, and starting one needs root")
    if shutil.which("dockerd") is None:
        raise UnavailableError(
            "no Docker engine runs here, and none is installed (Debian: apt-get install docker.io)"
        )
    directory = Path(tempfile.mkdtemp(prefix="lamson-docker-", dir="/var/tmp"))
    process = _start(directory)
    try:
        engine = _wait(directory, process)
        with firewall.passing(directory.name):
            yield engine
    finally:
        _end(process)
        _remove(directory)


def _start(directory: Path) -> subprocess.Popen[bytes]:
    with (directory / "log").open("wb") as log:
        return subprocess.Popen(
            [
                # Ends it when we are killed.
                *("setpriv", "--pdeathsig", "TERM"),
                *("dockerd", "--host", _url(directory)),
                *("--data-root", str(directory / "data")),
                *("--exec-root", str(directory / "exec")),
                *("--pidfile", str(directory / "pid")),
                # Containers of one network reach each other through its bridge, and we reach them
                # through docker-proxy: none of that needs forwarding.
                *("--bridge", "none", "--iptables=false", "--ip6tables=false"),
                *("--ip-forward=false", "--ip-masq=false"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # the terminal's Ctrl-C is for us: we need it to tidy up
        )


def _url(directory: Path) -> str:
    return f"unix://{directory}/docker.sock"


def _wait(directory: Path, process: subprocess.Popen[bytes]) -> Engine:
    deadline = time.monotonic() + START
    while (engine := _connected(_url(directory))) is None:
        if process.poll() is not None or time.monotonic() > deadline:
            log = (directory / "log").read_text(errors="replace")
            raise UnavailableError("dockerd did not start: " + _reason(log))
        time.sleep(0.1)
    return engine


def _reason(log: str) -> str:
    """The last thing it complained of."""
    lines = [line for line in log.splitlines() if "level=info" not in line]
    return lines[-1] if lines else "it said nothing"


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(START)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _remove(directory: Path) -> None:
    unmount_below(directory)
    shutil.rmtree(directory)
