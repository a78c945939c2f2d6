"""The settings of the window."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from pydantic import Field, SecretStr, field_validator

from lamson.settings import secrets
from lamson.settings.listening import Listening
from lamson.settings.values import (  # noqa: TC001 - pydantic reads them
    Names,
    Networks,
    OptionalPath,
    OptionalText,
)

_HEADER = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")


class Web(Listening):
    """The window, which shows the mail and what waits to a browser: `Web("127.0.0.1:8825")`."""

    listen: str = Field(
        "127.0.0.1:8825",
        description="Where `lamson web` and `lamson dev` listen: `host:port` or `unix:path`. It "
        "speaks no TLS: let a proxy on this machine do that.",
    )
    secret: SecretStr | None = Field(
        None, description="Password. Better kept in a secret file or in `secret_file`."
    )
    secret_file: OptionalPath = Field(
        None, description="File that holds the password; refused where everybody can read it."
    )
    user_header: OptionalText = Field(
        None,
        description="Header field in which a proxy names the user that it has let in, such as "
        "`X-Remote-User`. It has to remove what a client writes there. Believed of `proxies`, and "
        "of who may open the unix socket. Default: none, and the password alone counts.",
    )
    proxies: Networks = Field(
        [], description="Addresses and networks of the proxies whose `user_header` is believed."
    )
    hosts: Names = Field(
        [],
        description="Names that browsers know the window by, besides those of this machine, such "
        "as `mail-admin.example.com`. Requests under any other are refused.",
    )
    writable: bool = Field(
        False,
        description="Whether `lamson web` lets change anything: requeue, retry, drop, reset, "
        "remove. Default: it is read-only. `lamson dev` always does.",
    )

    def __init__(self, listen: str | None = None, /, **values: Any) -> None:
        super().__init__(listen, **values)

    @field_validator("user_header")
    @classmethod
    def _check_header(cls, value: str | None) -> str | None:
        if value is not None and not _HEADER.fullmatch(value):
            raise ValueError("expected the name of a header field such as X-Remote-User")
        return value

    @field_validator("proxies")
    @classmethod
    def _check_proxies(cls, value: list[str]) -> list[str]:
        for text in value:
            try:
                ipaddress.ip_network(text)
            except ValueError as error:
                raise ValueError(f"expected addresses and networks: {error}") from None
        return value

    def password(self) -> str | None:
        """The secret, read afresh where it is in a file. Raises SettingsError."""
        return secrets.current(self.secret, self.secret_file)

    @property
    def has_door(self) -> bool:
        """Whether something says who may enter."""
        is_named = bool(self.user_header and (self.proxies or self.unix_path))
        return is_named or self.secret is not None or self.secret_file is not None

    def problem(self) -> tuple[str, str] | None:
        """Who reaches the window reads all mail."""
        given = [name for name in ("secret", "secret_file") if getattr(self, name) is not None]
        if len(given) == 2:
            return given[0], "expected secret or secret_file, not both"
        if self.user_header and not (self.proxies or self.unix_path):
            return "user_header", "expected proxies beside user_header, or listen on unix:path"
        if self.is_exposed and not self.has_door:
            return "listen", (
                f"{self.listen} is no loopback address: expected secret_file, or user_header and"
                " proxies"
            )
        if given and not self.password():
            return given[0], "expected a password, it is empty"
        return super().problem()
