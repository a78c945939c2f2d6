"""Postfix's configuration, read and written through postconf(1), and put back as it was.

For `lamson postfix plan`, `apply` and `check`. A directory that holds no configuration, and a
postconf that refuses, raise LamsonError with what postconf said.
"""

from __future__ import annotations

import os
import stat
import subprocess
from contextlib import suppress
from shlex import quote
from typing import TYPE_CHECKING

from lamson.errors import LamsonError
from lamson.postfix import texts
from lamson.postfix.configuration import Configuration
from lamson.postfix.maps import PostmapMaps
from lamson.postfix.mending import Mending
from lamson.postfix.tables import command

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


class Postconf:
    """The configuration in ``directory``; None for the one that postconf takes by itself."""

    def __init__(self, directory: Path | None = None) -> None:
        self._place = ("-c", str(directory)) if directory else ()
        self._directory = directory
        self._program = command("postconf")
        self.mend = Mending(f"-c {quote(str(directory))} " if directory else "")
        """The commands that a person mends this configuration with."""

    def read(self) -> Configuration:
        """All that it says now. Starts five processes, whatever is asked of it afterwards."""
        values = self._run("-x")
        return Configuration.of(
            values=values,
            explicit=self._run("-n"),
            defaults=self._run("-d"),
            entries=self._run("-M"),
            overrides=self._run("-x", "-P"),
        )

    def maps(self) -> PostmapMaps:
        """The tables that it names, as they are now."""
        return PostmapMaps(self._place)

    def files(self) -> dict[str, bytes]:
        """main.cf and master.cf as they are now."""
        return {name: self._file(name).read_bytes() for name in texts.NAMES}

    def put_back(self, files: Mapping[str, bytes]) -> None:
        """They are again what `files` once gave: each as a whole, or not at all."""
        for name, data in files.items():
            file = self._file(name).resolve()
            status, new = file.stat(), file.with_name(f".{file.name}.lamson")
            try:
                new.write_bytes(data)
                os.chown(new, status.st_uid, status.st_gid)
                new.chmod(stat.S_IMODE(status.st_mode))
                new.replace(file)
            except OSError as error:
                raise LamsonError(f"{file}: {error.strerror}", exit_code=os.EX_CANTCREAT) from None

    @property
    def directory(self) -> Path:
        """Where main.cf and master.cf are."""
        if self._directory is None:
            values = self._run("-x", "config_directory")
            self._directory = Configuration.of(values=values).directory
        return self._directory

    def _file(self, name: str) -> Path:
        return self.directory / name

    def _finish(self, name: str) -> None:
        """Its last line has an end: postconf joins what it adds to one that has none."""
        file = self._file(name)
        if file.exists() and not file.read_bytes().endswith(b"\n"):
            with suppress(PermissionError), file.open("ab") as opened:  # postconf will say so
                opened.write(b"\n")

    def set(self, values: Mapping[str, str]) -> None:
        """``postconf -e``, all at once: each call waits until main.cf is two seconds old."""
        if values:
            self._finish("main.cf")
            self._run("-e", *(f"{name} = {value}" for name, value in values.items()))

    def unset(self, names: Sequence[str]) -> None:
        """``postconf -X``."""
        if names:
            self._run("-X", *names)

    def set_service(self, key: str, entry: str) -> None:
        """``postconf -M``."""
        self._finish("master.cf")
        self._run("-M", f"{key}={entry}")

    def unset_service(self, key: str) -> None:
        """``postconf -MX``."""
        self._run("-MX", key)

    def set_override(self, name: str, value: str) -> None:
        """``postconf -P service/type/parameter=value``."""
        self._run("-P", f"{name}={value}")

    def unset_override(self, name: str) -> None:
        """``postconf -PX``."""
        self._run("-PX", name)

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(
            [self._program, *self._place, *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
        if done.returncode:
            said = " ".join(done.stderr.split()) or f"status {done.returncode}"
            raise LamsonError(
                f"postconf {' '.join((*self._place, *arguments))}: {said}",
                exit_code=os.EX_NOPERM if "ermission denied" in said else os.EX_CONFIG,
            )
        return done.stdout
