"""The command in this process, and a server that follows a script."""

from __future__ import annotations

import io
import logging
import os
import socket
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from lamson import log
from lamson.cli import client, run
from lamson.cli.client import Outcome
from lamson.storage import migrate
from lamson.storage.database import Database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    """A command that writes the log of its project must not do so for the tests to come."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    log.configure(None)
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(level)


@pytest.fixture
def submitted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What was handed to the client, which accepts everything."""
    calls: list[tuple[Any, ...]] = []

    def submit(*arguments: Any) -> list[Outcome]:
        calls.append(arguments)
        return [Outcome(recipient, 250, "2.0.0 Ok") for recipient in arguments[4]]

    monkeypatch.setattr(client, "submit", submit)
    return calls


@dataclass
class Done:
    """What a command came to."""

    status: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def _modules_as_before(tmp_path: Path) -> Iterator[None]:
    """The handlers of one project must not be those of the next, whose files are elsewhere."""
    yield
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(f"{tmp_path}/"):
            del sys.modules[name]


@pytest.fixture
def lamson(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> Callable[..., Done]:
    """Runs the command in an empty directory, which is the current one."""
    for name in list(os.environ):
        if name.startswith("LAMSON_") or name == "CREDENTIALS_DIRECTORY":
            monkeypatch.delenv(name)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str, given: bytes = b"") -> Done:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        status = run(arguments)
        out, err = capsysbinary.readouterr()
        return Done(status, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"))

    return command


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with nothing but settings, in the current directory of `lamson`."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "settings.py").write_text(
        "from lamson.settings import Settings\n"
        'settings = Settings(handlers=["handlers_of_the_cli_tests"],\n'
        '    route_defaults={"host": r"test\\.com"})\n'
    )
    (tmp_path / "handlers_of_the_cli_tests.py").write_text(
        "from lamson import route, stateless\n\n"
        '@route("(name)@(host)", name="[a-z]+")\n'
        "def START(message, name, host): ...\n\n"
        '@route(".*@(host)")\n'
        "@stateless\n"
        "def WATCH(message, host): ...\n"
    )
    return tmp_path


@pytest.fixture
def database(
    lamson: Callable[..., Done], project: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Database]:
    """The database of the project, with our tables."""
    monkeypatch.setenv("LAMSON_DATABASE", f"sqlite:///{project}/run/outbox.db")
    (project / "run").mkdir(exist_ok=True)
    database = Database(f"sqlite:///{project}/run/outbox.db")
    migrate.upgrade_ours(database)
    yield database
    database.close()


class Server:
    """Takes one connection and follows a dialogue: ``S:`` lines are sent, ``C:`` lines awaited.

    ``C: ...`` awaits the end of the data, which is kept in ``data``. After the last line the
    connection is closed.
    """

    def __init__(self, dialogue: str) -> None:
        self._lines = [line.strip() for line in dialogue.strip().splitlines()]
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._follow)
        self.port: int = self._listener.getsockname()[1]
        self.data = b""
        self.problem: str | None = None

    def listen_on(self, path: Path) -> None:
        """Listen on a unix socket instead."""
        self._listener.close()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._listener.settimeout(0.01)  # for a client that never came
        self._thread.join(30)
        self._listener.close()
        assert self.problem is None, self.problem

    def _follow(self) -> None:
        self._listener.settimeout(20)
        connection, _ = self._listener.accept()
        connection.settimeout(20)
        with connection, connection.makefile("rb") as lines:
            for line in self._lines:
                who, _, text = line.partition(": ")
                if who == "S":
                    connection.sendall(text.encode() + b"\r\n")
                elif text == "...":
                    while not (got := lines.readline()).startswith(b".\r\n") and got:
                        self.data += got
                else:
                    got = lines.readline()
                    if got.decode().rstrip("\r\n") != text:
                        self.problem = f"expected {text!r}, got {got!r}"
                        return


@pytest.fixture
def server() -> type[Server]:
    """The class of scripted servers."""
    return Server
