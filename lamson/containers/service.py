"""One container of a mail system, as tests handle it: run, look into, kill, replace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lamson.containers.waiting import wait_for
from lamson.errors import LamsonError

if TYPE_CHECKING:
    from collections.abc import Mapping

STOP = 45  # seconds that a container has to finish what it began
_ATTEMPTS = 5  # at reading what a command writes
_END = "--end--"
_ENDED = ("sh", "-c", f'"$@" && printf %s {_END}', "sh")  # writes that behind what it writes


class CommandFailed(LamsonError):
    """A command in a container ended with another status than 0."""


class Service:
    """A container, made and started. ``options`` are those of docker's ``containers.create``."""

    def __init__(self, client: Any, name: str, **options: Any) -> None:
        self._client = client
        self.name = name
        self._options = options
        self._container = self._made()
        try:
            self._container.start()
        except BaseException:
            self.remove()  # nobody has it yet who would
            raise

    def _made(self) -> Any:
        return self._client.containers.create(name=self.name, **self._options)

    def start(self) -> None:
        """Start it again after `stop` or `kill`, and wait until it is healthy."""
        self._container.start()
        self.wait_healthy()

    def stop(self) -> None:
        """Have it finish what it began, and end."""
        self._container.stop(timeout=STOP)

    def kill(self) -> None:
        """End it at once, as a power failure would."""
        self._container.kill()
        self._container.wait()

    def replace(self) -> None:
        """Stop it, and start a new container with the same name, image and volumes in its place."""
        self.stop()
        self._container.remove()
        self._container = self._made()
        self.start()

    def remove(self) -> None:
        """End it and remove it, whatever it does."""
        self._container.remove(force=True, v=True)

    @property
    def status(self) -> str:
        """What docker says of it: created, running, exited, …"""
        return str(self.attributes["State"]["Status"])

    @property
    def attributes(self) -> Mapping[str, Any]:
        """All that `docker inspect` tells."""
        self._container.reload()
        return dict(self._container.attrs)

    @property
    def is_healthy(self) -> bool:
        """What its health check says now: the engine's own may be ten seconds old."""
        kind, *command = self.attributes["Config"]["Healthcheck"]["Test"]
        if kind == "CMD-SHELL":
            command = ["sh", "-c", *command]
        return bool(self._container.exec_run(command).exit_code == 0)

    def wait_healthy(self, timeout: float = 60.0) -> None:
        """Wait until its health check succeeds. Raises AssertionError with its log where not."""
        wait_for(
            lambda: self.status != "running" or self.is_healthy,
            lambda: f"{self.name} is healthy:\n{self.logs()}",
            timeout=timeout,
        )
        if self.status != "running":
            raise AssertionError(f"{self.name} ended:\n{self.logs()}")

    def wait_exit(self, timeout: float = 120.0) -> None:
        """Wait until it has ended by itself, with status 0. Raises CommandFailed where not."""
        code = self._container.wait(timeout=timeout)["StatusCode"]
        if code:
            raise CommandFailed(f"{self.name} ended with status {code}:\n{self.logs()}")

    def run(self, *command: str) -> str:
        """Run a command in it; gives its output. Raises CommandFailed."""
        code, (output, errors) = self._container.exec_run(list(command), demux=True)
        if code:
            text = (errors or output or b"").decode(errors="replace")
            raise CommandFailed(f"{self.name}: {' '.join(command)}: {text}")
        return (output or b"").decode(errors="replace")

    def read(self, *command: str) -> str:
        """As `run`, of a command that may be done again: it changes nothing.

        The engine may lose what a command writes at its very end; then it is asked again.
        """
        for _ in range(_ATTEMPTS):
            output, end, _rest = self.run(*_ENDED, *command).rpartition(_END)
            if end:
                return output
        raise CommandFailed(f"{self.name}: {' '.join(command)}: its output got lost each time")

    def archive(self, path: str) -> bytes:
        """A directory or file in it, as a tar archive; it may be stopped."""
        return b"".join(self._container.get_archive(path)[0])

    def logs(self, since: float = 0.0) -> str:
        """What it wrote to standard output and error, since a `time.time()`."""
        return str(self._container.logs(since=int(since) or None).decode(errors="replace"))

    def log_lines(self, *parts: str) -> list[str]:
        """The lines of its log that contain every one of ``parts``."""
        return [line for line in self.logs().splitlines() if all(part in line for part in parts)]

    def port(self, number: int) -> tuple[str, int]:
        """Host and port at which its TCP port ``number`` is reached from here."""

        def published() -> Any:
            self._container.reload()
            return self._container.ports.get(f"{number}/tcp")

        (found, *_) = wait_for(
            published, lambda: f"{self.name} publishes port {number}", timeout=10.0
        )
        return found["HostIp"], int(found["HostPort"])
