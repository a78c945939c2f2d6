"""The kinds of values that settings have, and what all groups of them share.

For the modules beside this one, a group in each. The environment gives texts, which are read here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict
from pydantic_settings import NoDecode

MIB = 1024 * 1024
DAY = 86400.0


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        raise ValueError("expected valid JSON") from None


def listed(value: object) -> object:
    """The environment gives a text: a JSON list, or items with commas between them."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return _json(value)
    return [item.strip() for item in value.split(",") if item.strip()]


def _mapping(value: object) -> object:
    return _json(value) if isinstance(value, str) else value


def _empty_is_none(value: object) -> object:
    return None if value == "" else value


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


Names = Annotated[list[str], NoDecode, BeforeValidator(listed)]
Paths = Annotated[list[Path], NoDecode, BeforeValidator(listed)]
Patterns = Annotated[dict[str, str], NoDecode, BeforeValidator(_mapping)]
Rates = Annotated[dict[str, int], NoDecode, BeforeValidator(_mapping)]
OptionalText = Annotated[str | None, BeforeValidator(_empty_is_none)]
OptionalPath = Annotated[Path | None, BeforeValidator(_empty_is_none)]
Networks = Annotated[list[str], NoDecode, BeforeValidator(listed)]
Level = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(_upper)]


class Group(BaseModel):
    """Settings that belong together; nothing can be changed after the start."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def problem(self) -> tuple[str, str] | None:
        """The key that does not go with the others, and what is expected; None where all do.

        Asked once all layers are known: a password may stand in another place than its user.
        Raises SettingsError for a secret that cannot be read.
        """
        return None


class Server(Group):
    """A group about a server, whose address may be given as the first argument.

    Each one says so again in an `__init__` of its own: type checkers make one from the fields
    where a class has none.
    """

    positional: ClassVar[str]
    """The key of that argument."""

    def __init__(self, address: str | None = None, /, **values: Any) -> None:
        super().__init__(**(values if address is None else {self.positional: address, **values}))
