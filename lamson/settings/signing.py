"""The settings of signed addresses."""

from __future__ import annotations

from typing import Any

from pydantic import Field, SecretStr

from lamson.settings import secrets
from lamson.settings.values import MIB, Group, OptionalPath

_LEAST = 16  # characters of a key


class Signing(Group):
    """What signed addresses are signed with; the same on all nodes.

    Several keys have white space between them: the first one signs, all of them verify. So a new
    one is put in front, and an old one taken away when what it signed has expired.
    """

    secret: SecretStr | None = Field(
        None,
        description="The keys, with white space between them: the first signs, all verify. "
        "Default: one that derives from `milter.secret`, or from `run/notes.key`.",
    )
    secret_file: OptionalPath = Field(
        None, description="File that holds them; refused where everybody can read it."
    )

    max_pending: int = Field(
        256 * MIB,
        ge=1,
        description="Octets that messages which wait for a token may take (`delivery.sign` with "
        "`keep`); 451 4.3.1 beyond.",
    )

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)

    def all_keys(self) -> list[str]:
        """The keys, newest first; [] where none is set. Raises SettingsError."""
        return (secrets.current(self.secret, self.secret_file) or "").split()

    def problem(self) -> tuple[str, str] | None:
        """Checked at the start: an address that was given out has to be known later."""
        if self.secret is not None and self.secret_file is not None:
            return "secret", "expected secret or secret_file, not both"
        is_set = self.secret is not None or self.secret_file is not None
        keys = self.all_keys()
        if is_set and (not keys or any(len(key) < _LEAST for key in keys)):
            name = "secret" if self.secret is not None else "secret_file"
            return (
                name,
                f"expected keys of {_LEAST} characters at least, from `openssl rand -hex 32`",
            )
        return None
