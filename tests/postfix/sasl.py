"""Cyrus SASL for a Postfix of a test: one user, whose password is no secret."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from tests.postfix.config import HOSTNAME

if TYPE_CHECKING:
    from pathlib import Path

PASSWORD = "correct horse: battery"


def make_sasl(directory: Path) -> None:
    """Its configuration in the directory, and the user lamson@HOSTNAME."""
    directory.chmod(0o755)
    database = directory / "sasldb2"
    subprocess.run(
        ["saslpasswd2", "-p", "-c", "-f", str(database), "-u", HOSTNAME, "lamson"],
        input=PASSWORD.encode(),
        check=True,
    )
    database.chmod(0o644)
    (directory / "smtpd.conf").write_text(
        f"pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {database}\n"
        "mech_list: PLAIN LOGIN\n"
    )
