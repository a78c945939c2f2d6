"""Secrets that stand in files: passwords, keys."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from lamson.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import SecretStr


def read_secret(path: Path) -> str:
    """The content of a secret file, without the final line end.

    Raises SettingsError where it cannot be read, or where everybody on the machine can read or
    write it.
    """
    try:
        with path.open(encoding="utf-8") as file:
            mode = os.fstat(file.fileno()).st_mode
            if mode & stat.S_IROTH:
                raise SettingsError(f"{path}: everybody can read this secret; chmod o-r {path}")
            if mode & stat.S_IWOTH:
                raise SettingsError(f"{path}: everybody can write this secret; chmod o-w {path}")
            return file.read().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise SettingsError(f"{path}: cannot read the secret: {reason}") from None


def current(secret: SecretStr | None, file: Path | None) -> str | None:
    """The secret, read afresh where it is in a file, so that it can be changed while we run.

    Raises SettingsError (`read_secret`).
    """
    if file is not None:
        return read_secret(file)
    return secret.get_secret_value() if secret else None
