"""The milter's settings."""

from __future__ import annotations

from typing import Any

from pydantic import Field, SecretStr, field_validator

from lamson.settings import secrets
from lamson.settings.listening import Listening
from lamson.settings.values import MIB, OptionalPath


class Milter(Listening):
    """The milter that Postfix asks while the sender is connected.

    `Milter("unix:sockets/milter.sock")`, for one. It runs where there are `filters`, or with
    `check_recipients`.
    """

    listen: str = Field(
        "unix:sockets/milter.sock",
        description="Where to listen: `unix:path` for a socket in the file system, which is the "
        "faster one, or `host:port`.",
    )
    workers: int = Field(1, ge=1, description="Processes that share the socket.")
    threads: int = Field(64, ge=1, description="Threads of one worker that run filters, at most.")
    check_recipients: bool = Field(
        False,
        description="Refuse recipients in our domains that no route matches, at RCPT TO. The "
        "alternative to the socketmap.",
    )
    timeout: float = Field(
        25.0,
        gt=0,
        description="Seconds that the filters of one command may take; beyond: 451. Keep it below "
        "Postfix's `milter_command_timeout` (30).",
    )
    content_timeout: float = Field(
        250.0,
        gt=0,
        description="Seconds that the filters of one message may take; beyond: 451. Keep it below "
        "Postfix's `milter_content_timeout` (300).",
    )
    max_body: int = Field(
        10 * MIB,
        ge=0,
        description="Octets of a body that filters are shown; of a larger one they see the start.",
    )
    secret: SecretStr | None = Field(
        None,
        description="What the filters' notes to the handlers are signed with; the same on all "
        "nodes. Default: one that is made once, in `run/notes.key`.",
    )
    secret_file: OptionalPath = Field(
        None, description="File that holds it; refused where everybody can read it."
    )

    def __init__(self, listen: str | None = None, /, **values: Any) -> None:
        super().__init__(listen, **values)

    @field_validator("allow")
    @classmethod
    def _refuse_allow(cls, value: list[str]) -> list[str]:
        if value:
            raise ValueError("expected none: libmilter lets everybody connect who can reach it")
        return value

    def signing_secret(self) -> str | None:
        """The secret, read afresh where it is in a file. Raises SettingsError."""
        return secrets.current(self.secret, self.secret_file)

    def problem(self) -> tuple[str, str] | None:
        """Who reaches the milter can learn what filters think, and is believed to be Postfix."""
        if self.is_on_every_interface:
            return "listen", (
                f"{self.listen} is every interface: expected unix:path or one address"
            )
        if self.secret is not None and self.secret_file is not None:
            return "secret", "expected secret or secret_file, not both"
        self.signing_secret()
        return super().problem()
