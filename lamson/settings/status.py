"""The settings of the status listener."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from lamson.settings.listening import Guarded


class Status(Guarded):
    """The server that tells how the service is, by HTTP: `Status("127.0.0.1:8826")`.

    `/metrics` is for Prometheus, `/healthz` and `/readyz` are for whatever starts programs and
    watches them. It answers whom `allow` lets in, without a password; its answers have nothing of
    any mail but the last error of submission.
    """

    may_be_off: ClassVar[bool] = True

    listen: str = Field(
        "",
        description="Where to listen: `host:port` or `unix:path`. All but loopback addresses need "
        "`allow`. Every user of this machine may ask on a loopback address; a unix socket is for "
        "whom `socket_mode` says. Default: nowhere, and nothing is counted.",
    )
    max_connections: int = Field(
        64, ge=1, description="Connections at a time; those beyond are told 503."
    )
    timeout: float = Field(
        10.0,
        gt=0,
        description="Seconds that a client has for its request and for taking the answer; beyond "
        "it is closed.",
    )
    late: float = Field(
        900.0,
        ge=0,
        description="Seconds after which mail that waits in the outbox is late: the service is "
        "degraded then, also for `lamson status`.",
    )

    def __init__(self, listen: str | None = None, /, **values: Any) -> None:
        super().__init__(listen, **values)

    def problem(self) -> tuple[str, str] | None:
        """Who reaches it learns how much mail there is, and of what programs."""
        if self.is_exposed and not self.allow:
            return "listen", (
                f"{self.listen} is no loopback address: expected allow with the addresses of your"
                " Prometheus; or listen on unix:path or 127.0.0.1:8826"
            )
        return super().problem()
