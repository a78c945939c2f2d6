"""`lamson web` and `lamson dev`, where they do not begin; and the window as a server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import pytest

from lamson import log
from lamson.cli import web
from tests.waiting import free_port, listening, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.cli.conftest import Done


@pytest.mark.parametrize("command", ["web", "dev"])
def test_without_the_extra_it_says_what_to_install(
    lamson: Callable[..., Done], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr(web, "_NEEDED", ("starlette", "no_such_package"))
    done = lamson(command)
    assert done.status == os.EX_UNAVAILABLE
    assert "pip install 'lamson-postfix[web]'" in done.err


@pytest.mark.usefixtures("project")
def test_a_window_that_nobody_could_enter_is_not_opened(lamson: Callable[..., Done]) -> None:
    done = lamson("web", "-foreground")
    assert done.status == os.EX_CONFIG
    assert "web.secret_file" in done.err


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("server", ["mail.example.com:587", "192.0.2.1:25"])
def test_dev_does_not_begin_where_real_mail_would_be_sent(
    lamson: Callable[..., Done], monkeypatch: pytest.MonkeyPatch, server: str
) -> None:
    monkeypatch.setenv("LAMSON_SUBMISSION__SERVER", server)
    done = lamson("dev")
    assert done.status == os.EX_CONFIG
    assert "LAMSON_SUBMISSION__SERVER=127.0.0.1:8899" in done.err


def test_the_window_serves_who_knows_the_password(project: Path) -> None:
    port = free_port()
    names = {"LAMSON_WEB__LISTEN": f"127.0.0.1:{port}", "LAMSON_WEB__SECRET": "sesame"}
    process = subprocess.Popen(
        [sys.executable, "-m", "lamson", "web", "-foreground"],
        cwd=project,
        env={**os.environ, **names},
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: listening(port), "the window listens")
        here = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=here, follow_redirects=True, timeout=60) as client:
            assert client.get("/").url.path == "/login"
            assert client.post("/login", data={"password": "guess"}).status_code == 403
            page = client.post("/login", data={"password": "sesame"})
            assert page.url.path == "/"
            assert "read-only" in page.text
            assert client.get("/write").status_code == 404
            assert "server" not in page.headers
    finally:
        process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0


def test_it_logs_as_the_service_does(
    lamson: Callable[..., Done], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines of text would stand between the objects of a log in JSON."""
    monkeypatch.setenv("LAMSON_LOG_FORMAT", "json")
    monkeypatch.setenv("LAMSON_WEB__SECRET", "sesame")

    async def serve(*_: object) -> None:
        log.logger.warning("hello")

    monkeypatch.setattr(web, "_serve", serve)
    assert lamson("web", "-foreground").status == 0
    (line,) = (project / "logs" / "lamson.log").read_text().splitlines()
    assert json.loads(line)["message"] == "hello"
