"""Builds the images of a mail system: those of ``postfix/``, and a project on top of Lamson's.

Each is built of a context made here, so that neither a remote engine nor a missing network is in
the way. What has not changed since the last build comes from the engine's cache. A build that
fails raises BuildError with the end of its output.
"""

from __future__ import annotations

import io
import os
import platform
import re
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from lamson.containers import base, shipped, wheels
from lamson.containers.wheels import BuildError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lamson.containers.engine import Engine

POSTFIX = "lamson-testing/postfix"
LAMSON = "lamson-testing/lamson"
POSTGRES = "lamson-testing/postgres"  # with what makes the role of the service

_HERE = Path(__file__).parent
_WITH_ROLE = b"FROM " + base.POSTGRES.encode() + b"\nCOPY role.sh /docker-entrypoint-initdb.d/\n"
_PROJECT = b"FROM " + LAMSON.encode() + b"\nCOPY --chown=lamson project /srv/project\n"
# Of a project: what its servers and tools leave behind, and its secrets, belong in no image; nor
# does what is hidden, such as .env and .git, wherever it is.
_LEFT_OUT = {"run", "logs", "config/secrets", "build", "dist"}


class Images:
    """The images, in one engine. ``cache`` keeps what was downloaded or made for them."""

    def __init__(self, engine: Engine, cache: Path | None = None) -> None:
        self._client = engine.client
        self._cache = cache or default_cache()

    def prepare(self, requirements: Sequence[str] = ()) -> None:
        """See to it that all are there but projects'. ``requirements`` are packages for those.

        Raises UnavailableError where a part cannot be had, BuildError where building fails.
        """
        architecture = self._client.info().get("Architecture") or platform.machine()
        files = shipped.operator_files()
        with TemporaryDirectory(prefix="lamson-wheels-") as fetched, ThreadPoolExecutor(1) as other:
            fetching = other.submit(wheels.collect, Path(fetched), architecture, requirements)
            self._prepare_bases()
            self.build(POSTFIX, _tree(files))
            role = files / "container" / "make-database"
            self.build(POSTGRES, {"Dockerfile": _WITH_ROLE, "role.sh": role})
            is_complete = fetching.result()
            context = {
                "Dockerfile": files / "Dockerfile.lamson",
                "requirements.lock": shipped.lock(),
                **_tree(files / "container", "postfix/container/"),
                **_tree(Path(fetched), "wheels/"),
            }
            arguments = {
                "REQUIREMENTS": " ".join(requirements),
                "NO_INDEX": "--no-index" if is_complete else "",
            }
            self.build(LAMSON, context, arguments)

    def _prepare_bases(self) -> None:
        client = self._client
        base.ensure(client, base.DEBIAN, lambda: base.import_debian(client, self._cache))
        base.ensure(
            client,
            base.POSTGRES,
            lambda: self.build(base.POSTGRES, _tree(_HERE / "postgres")),
        )

    def project(self, directory: Path) -> str:
        """Build the image of a project; gives its name."""
        tag = _tag(directory)
        self.build(tag, {"Dockerfile": _PROJECT, **_tree(directory, "project/")})
        return tag

    def build(
        self,
        tag: str,
        context: Mapping[str, Path | bytes],
        arguments: Mapping[str, str] | None = None,
    ) -> None:
        """Build ``tag`` of these files. Raises BuildError."""
        from docker import errors

        try:
            self._client.images.build(
                fileobj=_tar(context),
                custom_context=True,
                tag=tag,
                buildargs=dict(arguments or {}),
                rm=True,
                forcerm=True,
            )
        except errors.BuildError as error:
            output = "".join(str(line.get("stream", "")) for line in error.build_log)
            raise BuildError(f"{tag}: {error.msg}\n{output[-4000:]}") from None


def default_cache() -> Path:
    """Where things are kept from one run to the next, unless told otherwise."""
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches) / "lamson" / "containers"


def _tree(directory: Path, prefix: str = "") -> dict[str, Path | bytes]:
    files = {str(path.relative_to(directory)): path for path in _files(directory, directory)}
    return {prefix + name: path for name, path in files.items()}


def _files(directory: Path, top: Path) -> Iterator[Path]:
    for path in sorted(directory.iterdir()):
        if path.name.startswith(".") or path.name == "__pycache__":
            continue
        if path.is_file():
            yield path
        elif path.is_dir() and str(path.relative_to(top)) not in _LEFT_OUT:
            yield from _files(path, top)


def _tag(directory: Path) -> str:
    """What an image of the project can be called: a name has a few characters only."""
    name = re.sub("[^a-z0-9]+", "-", directory.name.lower()).strip("-")
    return f"lamson-testing/project-{name or 'unnamed'}"


def _tar(context: Mapping[str, Path | bytes]) -> io.BytesIO:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in context.items():
            data = content if isinstance(content, bytes) else content.read_bytes()
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            executable = isinstance(content, Path) and os.access(content, os.X_OK)
            entry.mode = 0o755 if executable else 0o644
            archive.addfile(entry, io.BytesIO(data))
    packed.seek(0)
    return packed
