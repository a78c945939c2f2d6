"""What goes into the image of Lamson is what requirements.lock names, byte for byte."""

from __future__ import annotations

import hashlib
import re
import shutil
import sysconfig
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from lamson.containers import images, shipped, wheels

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]
MACHINE = "any"


def make_wheel(directory: Path, name: str, version: str, *needs: str) -> Path:
    """A package that is nothing but its name, its version and what it needs."""
    path = directory / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {one}" for one in needs]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{info}/METADATA", "\n".join([*lines, "Provides-Extra: postgres", ""]))
        archive.writestr(
            f"{info}/WHEEL",
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr(f"{info}/RECORD", "")
    return path


class Index:
    """A package index in a directory, and the list that is locked."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.lock = directory / "requirements.lock"
        directory.mkdir()
        self.lock.write_text("")

    def lock_release(self, wheel: Path) -> None:
        name, version, *_ = wheel.name.split("-")
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        with self.lock.open("a") as lock:
            lock.write(f"{name}=={version} \\\n    --hash=sha256:{digest}\n    # via lamson\n")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    """It has two releases of what Lamson needs, of which the older one is locked."""
    index = Index(tmp_path / "index")
    index.lock_release(make_wheel(index.directory, "needed", "1.0"))
    make_wheel(index.directory, "needed", "2.0")
    make_wheel(index.directory, "lamson_postfix", "0.0", "needed")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index.directory))
    monkeypatch.setattr(shipped, "lock", lambda: index.lock)
    monkeypatch.setattr(wheels, "source_tree", lambda: None)
    monkeypatch.setattr(metadata, "version", lambda name: "0.0")
    monkeypatch.setattr(wheels, "is_same_python", lambda architecture: architecture == MACHINE)
    return index


def collected(directory: Path, *requirements: str) -> list[str]:
    directory.mkdir()
    assert wheels.collect(directory, MACHINE, requirements)
    files = (path for path in directory.rglob("*") if path.is_file())
    return sorted(str(path.relative_to(directory)).partition("-py3")[0] for path in files)


@pytest.mark.usefixtures("index")
def test_the_locked_release_is_taken_though_there_is_a_newer_one(tmp_path: Path) -> None:
    assert collected(tmp_path / "wheels") == ["lamson_postfix-0.0", "needed-1.0"]


def test_a_file_that_is_not_the_locked_one_is_refused(index: Index, tmp_path: Path) -> None:
    index.lock.unlink()
    index.lock.write_text(f"needed==1.0 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(wheels.BuildError, match="DO NOT MATCH THE HASHES"):
        collected(tmp_path / "wheels")


def test_what_a_project_needs_lies_apart_and_raises_nothing(index: Index, tmp_path: Path) -> None:
    make_wheel(index.directory, "ours", "3.0", "needed")
    assert collected(tmp_path / "wheels", "ours") == [
        "lamson_postfix-0.0",
        "needed-1.0",
        "project/lamson_postfix-0.0",
        "project/needed-1.0",
        "project/ours-3.0",
    ]


def test_a_project_that_needs_another_release_is_told(index: Index, tmp_path: Path) -> None:
    make_wheel(index.directory, "ours", "3.0", "needed>=2")
    with pytest.raises(wheels.BuildError, match=r"ours==3\.0"):
        collected(tmp_path / "wheels", "ours")


def test_for_another_python_there_is_our_own_wheel_alone(index: Index, tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    assert not wheels.collect(tmp_path / "wheels", "another", ["ours"])
    assert [path.name for path in (tmp_path / "wheels").iterdir()] == [
        "lamson_postfix-0.0-py3-none-any.whl"
    ]


def test_the_list_goes_into_the_build(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(self: Any, tag: str, context: Mapping[str, Path | bytes], *more: Any) -> None:
        contexts[tag] = context

    contexts: dict[str, Mapping[str, Path | bytes]] = {}
    monkeypatch.setattr(images.Images, "build", build)
    monkeypatch.setattr(images.Images, "_prepare_bases", lambda self: None)
    client = SimpleNamespace(info=lambda: {"Architecture": MACHINE})
    engine: Any = SimpleNamespace(client=client)
    images.Images(engine, tmp_path).prepare()
    context = contexts[images.LAMSON]
    assert context["requirements.lock"] == index.lock
    assert "wheels/needed-1.0-py3-none-any.whl" in context


def test_the_image_installs_by_hashes_whatever_there_is_in_wheels() -> None:
    dockerfile = (ROOT / "postfix" / "Dockerfile.lamson").read_text()
    [built] = re.findall(r"^RUN python3 -m venv (?:.*\\\n)*.*\n", dockerfile, re.MULTILINE)
    steps = [step.strip() for step in built.replace("\\\n", " ").split("&&")]
    assert "$install --no-build-isolation --require-hashes -r requirements.lock" in steps


def test_the_list_is_installed_beside_the_dockerfile() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    beside = project["tool"]["setuptools"]["data-files"]["share/lamson/postfix"]
    assert {"postfix/Dockerfile*", "requirements.lock"} <= set(beside)


def test_an_installation_has_its_own_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, "_BESIDE", tmp_path / "site-packages")
    monkeypatch.setattr(sysconfig, "get_path", {"data": str(tmp_path)}.__getitem__)
    assert shipped.lock() == tmp_path / "share" / "lamson" / "postfix" / "requirements.lock"
    assert shipped.operator_files() == shipped.lock().parent


def test_our_own_wheel_is_built_with_the_list_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pip(*arguments: str, pins: Path) -> None:
        shutil.copytree(arguments[-1], tmp_path / "built")

    monkeypatch.setattr(wheels, "_pip", pip)
    wheels._build(ROOT, tmp_path, tmp_path / "pins")
    assert (tmp_path / "built" / "requirements.lock").read_text() == shipped.lock().read_text()


def test_a_pip_that_fails_is_quoted(tmp_path: Path) -> None:
    with pytest.raises(wheels.BuildError, match="no such option"):
        wheels._pip("wheel", "--nonsense", pins=tmp_path / "pins")


def test_wheels_of_another_machine_are_no_use() -> None:
    assert not wheels.is_same_python("s390x-of-old")
