"""Certificates for tests, made by openssl(1): an authority, and what it or nobody has signed."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_CA = """\
[ca]
default_ca = own
[own]
database = {0}/index
serial = {0}/serial
new_certs_dir = {0}
default_md = sha256
policy = any
rand_serial = yes
unique_subject = no
copy_extensions = copy
[any]
commonName = supplied
"""


class Authority:
    """A certificate authority in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.certificate, self._key = self.self_signed("Authority of the tests")
        (directory / "index").touch()
        (directory / "ca.cnf").write_text(_CA.format(directory))

    def self_signed(self, name: str) -> tuple[Path, Path]:
        """Certificate and key that nobody else has signed."""
        return self._new(name, "-x509", "-days", "2")

    def issue(self, name: str, *, expired: bool = False, days: int = 30) -> tuple[Path, Path]:
        """Certificate and key for a host, signed by this authority."""
        request, key = self._new(name, "-new")
        certificate = request.with_suffix(".pem")
        dates = ("20200101000000Z", "20200201000000Z") if expired else ()
        _openssl(
            "ca", "-batch", "-notext", "-config", str(self.directory / "ca.cnf"),
            "-cert", str(self.certificate), "-keyfile", str(self._key),
            "-in", str(request), "-out", str(certificate),
            *(("-startdate", dates[0], "-enddate", dates[1]) if dates else ("-days", str(days))),
        )  # fmt: skip
        return certificate, key

    def _new(self, name: str, *options: str) -> tuple[Path, Path]:
        stem = f"{name.replace(' ', '-')}-{len(list(self.directory.iterdir()))}"
        suffix = ".pem" if "-x509" in options else ".csr"
        certificate, key = self.directory / f"{stem}{suffix}", self.directory / f"{stem}.key"
        _openssl(
            "req", *options, "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-subj", f"/CN={name}", "-keyout", str(key), "-out", str(certificate),
            *(("-addext", f"subjectAltName=DNS:{name}") if " " not in name else ()),
        )  # fmt: skip
        key.chmod(0o600)
        return certificate, key


def _openssl(*arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"openssl {' '.join(arguments)}: {done.stderr}")
