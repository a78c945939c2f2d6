"""The settings of spam: who judges, and what is kept."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator
from pydantic_settings import NoDecode

from lamson.net.endpoint import split_host_port
from lamson.settings.values import MIB, Group, listed

_NAMES = re.compile(r"fields|notes(?::\w+)?|field:[!-9;-~]+|(?:rspamd:http://|spamd:)(?P<where>.+)")

Judges = Annotated[list[Any], NoDecode, BeforeValidator(listed)]


class Spam(Group):
    """What handlers with `@spam_filter` are spared: who judges mail, and what is kept of it."""

    judges: Judges = Field(
        default=["notes", "fields"],
        description="Who judges, in this order; the first that has an opinion decides. `notes` is "
        "the filters' note `spam` (`notes:NAME` another), true or false; `fields` are those of "
        "SpamAssassin, Amavis and rspamd, where they say that it is spam; `field:NAME` is one that "
        "your own server writes and takes off what comes in, yes or no; `rspamd:http://HOST:PORT` "
        "and `spamd:HOST:PORT` are servers; a function `(message) -> bool | None` is one of yours.",
    )
    timeout: float = Field(
        default=10.0,
        gt=0,
        description="Seconds that all judges have for one message. One that has not answered by "
        "then has no opinion, and without one the handler runs.",
    )
    max_size: int = Field(
        default=MIB // 2,
        ge=0,
        description="Octets of a message that servers are shown; a larger one passes them by.",
    )
    max_kept: int = Field(
        default=256 * MIB,
        ge=1,
        description="Octets that `run/spam` may take on the disk, at most. When it is full, what "
        "is older than `days` goes; where nothing is, further spam waits in Postfix (451 4.3.1).",
    )
    days: float = Field(
        default=30.0, ge=0, description="Days for which spam is kept, at the least."
    )

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)

    @field_validator("judges")
    @classmethod
    def _check_judges(cls, value: list[Any]) -> list[Any]:
        for one in value:
            if not isinstance(one, str):
                if not callable(one):
                    raise ValueError(f"expected judges, or functions (message), not {one!r}")
                continue
            found = _NAMES.fullmatch(one)
            try:
                if found is None:
                    raise ValueError
                if found["where"]:
                    split_host_port(found["where"].rstrip("/"))
            except ValueError:
                raise ValueError(
                    "expected notes, fields, field:NAME, rspamd:http://HOST:PORT or"
                    f" spamd:HOST:PORT, not {one!r}"
                ) from None
        return value
