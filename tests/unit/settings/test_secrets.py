"""Secrets in files: whose they are, and what is said of one that cannot be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lamson.errors import SettingsError
from lamson.settings.secrets import read_secret

if TYPE_CHECKING:
    from pathlib import Path


def test_a_secret_that_everybody_can_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("x")
    file.chmod(0o644)
    with pytest.raises(SettingsError, match="everybody can read"):
        read_secret(file)
    with pytest.raises(SettingsError, match="cannot read the secret: No such file"):
        read_secret(tmp_path / "none")
    file.chmod(0o602)
    with pytest.raises(SettingsError, match="everybody can write"):
        read_secret(file)
    file.chmod(0o600)
    file.write_bytes(b"\xff")
    with pytest.raises(SettingsError, match="not UTF-8"):
        read_secret(file)
