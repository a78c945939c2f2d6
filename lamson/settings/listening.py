"""A server of ours: where it listens, and who may connect to it."""

from __future__ import annotations

import ipaddress
import os
import re
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, field_validator

from lamson.net.endpoint import from_here, is_loopback, join_host_port, split_host_port
from lamson.settings.values import Networks, Server

_UNIX_PATH_LIMIT = 107  # octets of sockaddr_un.sun_path, without the final NUL


class Listening(Server):
    """A server of ours: where it listens, and who may open its socket."""

    positional: ClassVar[str] = "listen"
    may_be_off: ClassVar[bool] = False  # by an empty `listen`

    listen: str
    socket_mode: str = Field("0660", description="Access mode of the unix socket, octal.")
    socket_group: str | None = Field(
        None, description="Group that the unix socket is given to, such as `postfix`."
    )

    def __init__(self, listen: str | None = None, /, **values: Any) -> None:
        super().__init__(listen, **values)

    @field_validator("listen")
    @classmethod
    def _check_listen(cls, value: str) -> str:
        try:
            if not value.removeprefix("unix:") and (value or not cls.may_be_off):
                raise ValueError
            if value and not value.startswith("unix:"):
                split_host_port(value)
        except ValueError:
            raise ValueError("expected host:port or unix:path") from None
        return value

    def problem(self) -> tuple[str, str] | None:
        """A path is known in full only where the project is."""
        path = self.unix_path
        if path is not None and len(os.fsencode(path)) > _UNIX_PATH_LIMIT:
            return "listen", f"expected a path of at most {_UNIX_PATH_LIMIT} octets, got {path}"
        return None

    @field_validator("socket_mode")
    @classmethod
    def _check_mode(cls, value: str) -> str:
        if not re.fullmatch("0?[0-7]{3}", value):
            raise ValueError("expected an octal mode such as 0660")
        return value

    @property
    def unix_path(self) -> Path | None:
        """The path of the unix socket, None for TCP."""
        return Path(self.listen[5:]) if self.listen.startswith("unix:") else None

    @property
    def host_port(self) -> tuple[str, int] | None:
        """Host and port for TCP, None for a unix socket or nothing."""
        is_tcp = self.listen and not self.listen.startswith("unix:")
        return split_host_port(self.listen) if is_tcp else None

    @property
    def is_exposed(self) -> bool:
        """Others than this machine may reach it, or may as soon as its name means another one."""
        return self.host_port is not None and not is_loopback(self.host_port[0])

    def endpoint(self, *, bracketed: bool = False) -> str:
        """Where it is reached from this machine, as Postfix writes it: ``inet:…`` or ``unix:…``.

        A next hop is ``bracketed``, lest Postfix look for MX records of the host.
        """
        if self.host_port is None:
            return f"unix:{self.unix_path}"
        host, port = from_here(self.host_port[0]), self.host_port[1]
        return f"inet:[{host}]:{port}" if bracketed else f"inet:{join_host_port(host, port)}"

    @property
    def mode(self) -> int:
        """``socket_mode`` as a number."""
        return int(self.socket_mode, 8)


class Guarded(Listening):
    """A server that knows which machines may connect to it."""

    allow: Networks = Field(
        [],
        description="Addresses and networks (`10.0.0.0/8`) of the clients that may connect over "
        "TCP. Default: any, which only loopback addresses may have.",
    )

    def __init__(self, listen: str | None = None, /, **values: Any) -> None:
        super().__init__(listen, **values)

    @field_validator("allow")
    @classmethod
    def _check_allow(cls, value: list[str]) -> list[str]:
        for text in value:
            try:
                ipaddress.ip_network(text)
            except ValueError as error:
                raise ValueError(f"expected addresses and networks: {error}") from None
        return value
