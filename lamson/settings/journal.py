"""The settings of the journal."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from lamson.settings.values import Server


class Journal(Server):
    """What is kept of the mail that came and went: `Journal("headers", days=30)`."""

    positional: ClassVar[str] = "keep"

    def __init__(self, keep: str | None = None, /, **values: Any) -> None:
        super().__init__(keep, **values)

    keep: Literal["off", "headers", "whole"] = Field(
        default="off",
        description="`off` for no journal; `headers` for a row of each mail with its header, "
        "`whole` for one with the whole message. Both need a database.",
    )
    days: float = Field(
        default=30.0, gt=0, le=36525, description="Days after which a row is forgotten."
    )
    max_octets: int = Field(
        default=1024**3,
        ge=1,
        description="Octets that all rows may take together. What is beyond is forgotten within "
        "some minutes, the oldest first.",
    )
    max_message: int = Field(
        default=64 * 1024,
        ge=0,
        le=50 * 1024 * 1024,
        description="Octets that are kept of one message, or of its header; the rest is cut off.",
    )
