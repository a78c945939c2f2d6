"""The milter's settings."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, SecretStr

from lamson.settings import secrets
from lamson.settings.listening import Listening
from lamson.settings.values import MIB, OptionalPath

_HEADER = 3 * MIB  # octets that a header within the limits takes at most, twice


class Milter(Listening):
    """The milter that Postfix asks while the sender is connected.

    `Milter("unix:sockets/milter.sock")`, for one. It runs where there are `filters`, or with
    `check_recipients`.
    """

    listen: str = Field(
        "unix:sockets/milter.sock",
        description="Where to listen: `unix:path` for a socket in the file system, which is the "
        "faster one, or `host:port` with a loopback address: libmilter asks nobody who he is.",
    )
    workers: int = Field(1, ge=1, description="Processes that share the socket.")
    threads: int = Field(64, ge=1, description="Threads of one worker that run filters, at most.")
    check_recipients: bool = Field(
        False,
        description="Refuse recipients in our domains that no route matches, at RCPT TO. The "
        "alternative to the socketmap where Postfix has no aliases in our domains.",
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
        description="Octets of a body that filters are shown.",
    )
    oversized_header: Literal["refuse", "defer", "truncate"] = Field(
        "refuse",
        description="What becomes of a message for filters whose header passes 1 MiB or 10,000 "
        "fields: `refuse` (552 5.3.4), `defer` (451), or `truncate`: filters see its start, with "
        "`is_truncated` and a line in `defects`.",
    )
    oversized_body: Literal["refuse", "defer", "truncate"] = Field(
        "truncate",
        description="The same for a body longer than `max_body` that a filter wants to see whole.",
    )
    max_buffered: int = Field(
        128 * MIB,
        ge=1,
        description="Octets of messages in the memory of one worker, all sessions together, before "
        "filters decode anything of them; beyond: 452. Not less than `max_body` and a header.",
    )
    max_connections: int = Field(
        1000,
        ge=1,
        description="Connections at a time to one worker; for one more Postfix does what its "
        "`milter_default_action` says. Not less than its smtpd processes.",
    )
    idle_timeout: int = Field(
        7200,
        ge=1,
        description="Seconds that a connection may be silent. Postfix is silent while a client "
        "sends the message, however slowly.",
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

    def signing_secret(self) -> str | None:
        """The secret, read afresh where it is in a file. Raises SettingsError."""
        return secrets.current(self.secret, self.secret_file)

    def problem(self) -> tuple[str, str] | None:
        """Who reaches the milter can learn what filters think, and is believed to be Postfix."""
        if self.is_exposed:
            return "listen", (
                f"{self.listen} is no loopback address, and libmilter lets everybody connect who"
                " can reach it: expected unix:path or 127.0.0.1:8825; for a Postfix on another"
                " machine have a tunnel (ssh, stunnel, WireGuard) end there"
            )
        least = self.max_body + _HEADER
        if self.max_buffered < least:
            return "max_buffered", f"expected {least} at least, for a message of max_body"
        if self.secret is not None and self.secret_file is not None:
            return "secret", "expected secret or secret_file, not both"
        self.signing_secret()
        return super().problem()
