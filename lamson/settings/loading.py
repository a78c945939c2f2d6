"""Find a project, run its ``config/settings.py``, and put the environment and secrets over it.

For the command and the service. Where a key is set more than once the first of these wins:

1. the environment: ``LAMSON_DATABASE``, ``LAMSON_LMTP__LISTEN``, …
2. a secret file of the same name in lower case (``lamson_submission__secret``) in
   ``$CREDENTIALS_DIRECTORY`` (systemd), ``$LAMSON_SECRETS_DIR``, or ``config/secrets``
3. ``config/settings.py``
4. the default

Anything wrong raises SettingsError: one line with the file and line, or the variable, the key, and
what is expected. Nothing is half loaded.
"""

from __future__ import annotations

import re
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, SecretStr, ValidationError

from lamson.errors import LamsonError, SettingsError
from lamson.settings import diagnosis, trust
from lamson.settings.diagnosis import GROUPS, nearest
from lamson.settings.listening import Listening
from lamson.settings.model import Settings
from lamson.settings.sources import environment, secret_files, settings_file
from lamson.settings.values import Group
from lamson.storage.url import MASK, masked

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lamson.settings.diagnosis import Key

FILE = Path("config", "settings.py")

AnyGroup = TypeVar("AnyGroup", bound=Group)

_SQLITE_FILE = re.compile(r"(sqlite(?:\+\w+)?:///)(?!/|:memory:|file:)([^?]+)(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Origin:
    """One effective setting: dotted key, value as text (secrets masked), where it was set."""

    key: str
    value: str
    where: str


def find_project(start: Path, *, is_trusted: bool = False) -> Path:
    """The nearest directory from ``start`` upwards with a ``config/settings.py``, absolute.

    Raises SettingsError where there is none, and LamsonError where it is not to be trusted
    (`lamson.settings.trust`), unless the caller says that it is.
    """
    start = start.resolve()
    for directory in (start, *start.parents):
        if (directory / FILE).is_file():
            if not is_trusted:
                trust.check_settings(directory)
            return directory
    raise SettingsError(
        f"{start}: no {FILE} here or above; make a project: lamson gen -project NAME"
    )


def load(project: Path, *, is_trusted: bool = False) -> Settings:
    """The effective settings of the project, all paths absolute. Raises as `find_project`.

    The project's directory is put first on ``sys.path``, for its settings, handlers and models.
    """
    if not is_trusted:
        trust.check_code(project)
    settings = _load(project)[0]
    if not is_trusted:
        metadata = [settings.metadata] if settings.metadata else []
        modules = [*settings.handlers, *settings.filters, *metadata]
        trust.check_named(project, modules, settings.templates)
    return settings


def origins(project: Path) -> list[Origin]:
    """Every setting with its effective value and where that came from. Raises SettingsError."""
    trust.check_code(project)
    settings, found = _load(project)
    return [
        Origin(".".join(map(str, key)), _shown(key, value), nearest(found, key) or "default")
        for key, value in _flat(settings)
    ]


@contextmanager
def placing(project: Path) -> Iterator[None]:
    """Say of an error for which a setting is to blame where that was set, as a SettingsError."""
    try:
        yield
    except LamsonError as error:
        if not error.setting:
            raise
        where = nearest(_load(project)[1], (error.setting,)) or "default"
        raise SettingsError(
            f"{where}: {error.setting}: {error}", exit_code=error.exit_code
        ) from error


def _load(project: Path) -> tuple[Settings, dict[Key, str]]:
    project = project.resolve()
    file = project / FILE
    if str(project) in sys.path:
        sys.path.remove(str(project))
    sys.path.insert(0, str(project))
    merged: dict[str, Any] = {}
    found: dict[Key, str] = {}
    for layer in (settings_file(file), *secret_files(project), environment()):
        for key, value in _leaves(layer.values):
            _put(merged, key, value)
            found[key] = layer.where(key)
    try:
        settings = Settings.model_validate(merged)
    except ValidationError as error:
        raise diagnosis.wrong(
            error, (), lambda key: nearest(found, key) or diagnosis.shown(file)
        ) from None
    settings = _made_absolute(settings, project)
    _check_groups(settings, found)
    return settings, found


def _leaves(values: Mapping[str, Any], above: Key = ()) -> Iterator[tuple[Key, Any]]:
    for name, value in values.items():
        if isinstance(value, dict) and not above:
            yield from _leaves(value, (name,))
        else:
            yield (*above, name), value


def _put(target: dict[str, Any], key: Key, value: object) -> None:
    for part in key[:-1]:
        inner = target.get(str(part))
        if not isinstance(inner, dict):
            inner = target[str(part)] = {}
        target = inner
    target[str(key[-1])] = value


def _flat(settings: BaseModel, above: Key = ()) -> Iterator[tuple[Key, Any]]:
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, BaseModel):
            yield from _flat(value, (*above, name))
        else:
            yield (*above, name), value


def _shown(key: Key, value: object) -> str:
    if value is None or value in ("", [], {}):
        return "none"
    if isinstance(value, SecretStr):
        return MASK
    if key == ("database",):
        return masked(str(value))
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{name}={item}" for name, item in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)


def _made_absolute(group: AnyGroup, project: Path) -> AnyGroup:
    """The group, and all in it, with every relative path below the project."""
    changes: dict[str, Any] = {}
    for name in type(group).model_fields:
        value = getattr(group, name)
        if isinstance(value, Group):
            changes[name] = _made_absolute(value, project)
        elif isinstance(value, Path):
            changes[name] = project / value
        elif isinstance(value, list):
            changes[name] = [project / one if isinstance(one, Path) else one for one in value]
    if isinstance(group, Listening) and group.unix_path is not None:
        changes["listen"] = f"unix:{project / group.unix_path}"
    elif isinstance(group, Settings):
        changes["database"] = _absolute_database(group.database, project)
    return group.model_copy(update=changes)


def _absolute_database(url: str | None, project: Path) -> str | None:
    found = _SQLITE_FILE.fullmatch(url or "")
    return f"{found[1]}{project / found[2]}{found[3]}" if found else url


def _check_groups(settings: Settings, found: Mapping[Key, str]) -> None:
    """Raise SettingsError where keys of a group do not go together."""
    for name in GROUPS:
        group: Group = getattr(settings, name)
        if problem := group.problem():
            key, text = problem
            where = nearest(found, (name, key)) or "default"
            raise SettingsError(f"{where}: {name}.{key}: {text}")
