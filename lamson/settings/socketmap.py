"""The socketmap's settings."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from lamson.settings.listening import Guarded


class Socketmap(Guarded):
    """The server that Postfix asks whether an address is routed: `Socketmap("127.0.0.1:8824")`.

    It speaks the protocol of Postfix's socketmap_table(5).
    """

    may_be_off: ClassVar[bool] = True

    listen: str = Field(
        "",
        description="Where to listen: `host:port` or `unix:path`. All but loopback addresses need "
        "`allow`. Default: nowhere; Postfix then needs the tables that `lamson postfix maps` "
        "writes.",
    )
    max_connections: int = Field(
        1000, ge=1, description="Connections at a time in one worker; those beyond are closed."
    )
    idle_timeout: float = Field(
        300.0, gt=0, description="Seconds that a client may be silent before it is closed."
    )

    def __init__(self, listen: str | None = None, /, **values: Any) -> None:
        super().__init__(listen, **values)

    def problem(self) -> tuple[str, str] | None:
        """Who reaches the socketmap can ask which addresses there are."""
        if self.is_exposed and not self.allow:
            return "listen", (
                f"{self.listen} is no loopback address: expected allow with the addresses of your"
                " Postfix; or listen on unix:path or 127.0.0.1:8824"
            )
        return super().problem()
