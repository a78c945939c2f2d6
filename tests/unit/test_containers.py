"""What the containers' harness decides without an engine; the rest is in tests/docker."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lamson.cli.sink import stored
from lamson.containers import base, engine, images, shipped, wheels, world
from lamson.containers.service import Service
from lamson.errors import UnavailableError

ROOT = Path(__file__).parents[2]


def why_not() -> str:
    with pytest.raises(UnavailableError) as raised, engine.running_engine():
        pass
    return str(raised.value)


@pytest.fixture
def _without_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setattr(engine, "USUAL", f"unix://{tmp_path}/nothing.sock")


def test_an_engine_that_was_named_has_to_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    assert why_not() == "no Docker engine answers at unix:///nowhere.sock"


@pytest.mark.usefixtures("_without_engine")
def test_starting_an_engine_needs_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert why_not() == "no Docker engine runs here, and starting one needs root"


@pytest.mark.usefixtures("_without_engine")
def test_starting_an_engine_needs_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert "apt-get install docker.io" in why_not()


@pytest.mark.usefixtures("_without_engine")
def test_an_engine_that_does_not_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/sbin/{name}")
    script = 'echo "level=info msg=begun"; echo "failed to start: no cgroups"; exit 1'
    real = subprocess.Popen
    monkeypatch.setattr(
        subprocess, "Popen", lambda command, **options: real(["sh", "-c", script], **options)
    )
    assert why_not() == "dockerd did not start: failed to start: no cgroups"


def test_debian_is_made_only_where_it_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(UnavailableError, match="making it needs root"):
        base.tarball(tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(UnavailableError, match="debootstrap is not installed"):
        base.tarball(tmp_path)


@pytest.mark.parametrize(
    ("listed", "mirror"),
    [
        ("http://here.example/debian/ bookworm\n", "http://here.example/debian/"),
        ("http://one/ubuntu/ noble\nhttp://two/debian/ bookworm\n", "http://two/debian/"),
        ("http://one/ubuntu/ noble\n", base.MIRROR),
        ("", base.MIRROR),
    ],
)
def test_the_mirror_is_that_of_apt(
    listed: str, mirror: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*command: Any, **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 0, listed, "")

    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(subprocess, "run", run)
    assert base.mirror() == mirror


def test_the_build_gets_neither_secrets_nor_leftovers(tmp_path: Path) -> None:
    for name in (
        *("app/model.py", "config/settings.py", "config/secrets/lamson_database"),
        *("run/lamson.db", "logs/lamson.log", ".git/config", "app/__pycache__/model.pyc"),
        *(".env", "app/.env", "app/secrets/__init__.py", "app/run/__init__.py"),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    with tarfile.open(fileobj=images._tar(images._tree(tmp_path, "project/"))) as archive:
        assert set(archive.getnames()) == {
            *("project/app/model.py", "project/config/settings.py"),
            *("project/app/secrets/__init__.py", "project/app/run/__init__.py"),
        }


def test_a_debootstrap_that_is_interrupted_leaves_nothing_mounted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def debootstrap(root: Path, packages: object) -> None:
        mounted.append(root / "proc")
        mounted[0].mkdir(parents=True)
        done = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", mounted[0]], capture_output=True)
        if done.returncode:
            pytest.skip("mounting is not allowed here")
        raise KeyboardInterrupt

    mounted: list[Path] = []
    monkeypatch.setattr(base, "_debootstrap", debootstrap)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda name: name)
    with pytest.raises(KeyboardInterrupt):
        base.tarball(tmp_path)
    assert str(mounted[0]) not in Path("/proc/mounts").read_text()
    assert not mounted[0].exists()


@pytest.mark.parametrize(
    ("directory", "tag"),
    [
        ("mymailserver", "lamson-testing/project-mymailserver"),
        ("/srv/My Project (2)", "lamson-testing/project-my-project-2"),
        ("/", "lamson-testing/project-unnamed"),
    ],
)
def test_any_directory_has_an_image_name(directory: str, tag: str) -> None:
    assert images._tag(Path(directory)) == tag


def test_a_container_that_does_not_start_is_not_left_behind() -> None:
    class Container:
        removed: dict[str, bool] | None = None

        def start(self) -> None:
            raise RuntimeError("the port is in use")

        def remove(self, **options: bool) -> None:
            self.removed = options

    container = Container()
    client = SimpleNamespace(containers=SimpleNamespace(create=lambda **options: container))
    with pytest.raises(RuntimeError, match="in use"):
        Service(client, "one", image="x")
    assert container.removed == {"force": True, "v": True}


def test_the_operators_files_and_the_source_are_found() -> None:
    files = shipped.operator_files()
    assert {"Dockerfile", "Dockerfile.lamson", "compose.yaml"} <= {
        one.name for one in files.iterdir()
    }
    assert shipped.lock().is_file()
    source = wheels.source_tree()
    assert source is None or (source / "pyproject.toml").is_file()


def test_what_arrived_in_the_world_has_its_envelope() -> None:
    content = b"Subject: Hi\r\nDelivered-To: list@test.com\r\n\r\nHello.\r\n"
    arrived = world._arrived(stored("", ["a@world.test", "b@world.test"], content))
    assert (arrived.sender, arrived.recipients) == ("", ("a@world.test", "b@world.test"))
    assert arrived["Subject"] == "Hi"
    assert arrived.body == "Hello.\n"


@pytest.mark.parametrize(("status", "is_alive"), [(0, True), (75, True), (69, False), (3, False)])
def test_a_degraded_container_is_not_started_anew(
    tmp_path: Path, status: int, is_alive: bool
) -> None:
    """The health check as Docker runs it, of a lamson that says how it is by its exit status."""
    text = (ROOT / "postfix" / "Dockerfile.lamson").read_text(encoding="utf-8")
    found = re.search(r"^HEALTHCHECK (?:.*\\\n)* +CMD (.*)$", text, re.MULTILINE)
    assert found is not None
    lamson = tmp_path / "lamson"
    lamson.write_text(f'#!/bin/sh\n[ "$*" = "status -json" ] && exit {status}\nexit 64\n')
    lamson.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(["/bin/sh", "-c", found[1]], env={"PATH": path}, check=False)
    assert (done.returncode == 0) is is_alive
