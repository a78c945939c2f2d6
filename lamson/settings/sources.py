"""The places where settings come from: ``config/settings.py``, secret files, the environment.

For `lamson.settings.loading`, which lays them over each other. Each layer knows where it has each
key from. Anything that cannot be read raises SettingsError, naming the file and line or the
variable.
"""

from __future__ import annotations

import os
import tokenize
import traceback
import types
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NestedSecretsSettingsSource,
    SettingsConfigDict,
)
from pydantic_settings import SettingsError as SourceError

from lamson.errors import SettingsError
from lamson.settings import diagnosis
from lamson.settings.diagnosis import nearest
from lamson.settings.model import Settings
from lamson.settings.secrets import read_secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lamson.settings.diagnosis import Key

PREFIX = "LAMSON_"
SECRETS_DIR = "LAMSON_SECRETS_DIR"


class _Sources(Settings, BaseSettings):
    """Settings, as the classes of pydantic-settings that read environment and files want them."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class Layer:
    """Values by key (a dict for a group), and where a key was set, for people to read."""

    values: dict[str, Any]
    where: Callable[[Key], str]


def settings_file(file: Path) -> Layer:
    """Run the file; take what it sets explicitly."""
    if not file.is_file():
        raise SettingsError(
            f"{diagnosis.shown(file)}: no such file; is {file.parents[1]} a project?"
        )
    module = types.ModuleType("config.settings")
    module.__file__ = str(file)
    try:
        with tokenize.open(file) as text:
            code = text.read()
        exec(compile(code, str(file), "exec"), module.__dict__)
    except ValidationError as error:
        raise _wrong_in_file(error, file, code) from None
    except SyntaxError as error:
        where = f"{diagnosis.shown(Path(error.filename or file))}:{error.lineno or 1}"
        raise SettingsError(f"{where}: syntax error: {error.msg}") from None
    except OSError as error:
        raise SettingsError(f"{diagnosis.shown(file)}: {error.strerror or error}") from error
    except (Exception, SystemExit) as error:  # sys.exit("set this") must not end a supervisor
        where = f"{diagnosis.shown(file)}:{_line_in(error, file)}"
        raise SettingsError(f"{where}: {type(error).__name__}: {error}") from error
    settings = module.__dict__.get("settings")
    if not isinstance(settings, Settings):
        got = "it is missing" if settings is None else f"it is of type {type(settings).__name__}"
        raise SettingsError(
            f"{diagnosis.shown(file)}: settings: expected settings = Settings(...), but {got}"
        )
    lines = diagnosis.keyword_lines(code, "settings")
    shown = diagnosis.shown(file)
    return Layer(
        settings.model_dump(exclude_unset=True),
        lambda key: f"{shown}:{nearest(lines, key) or 1}",
    )


def _wrong_in_file(error: ValidationError, file: Path, code: str) -> SettingsError:
    """The error of one of our models as it was made in the file."""
    line = _line_in(error, file)
    group = next(
        ((name,) for name, model in diagnosis.GROUPS.items() if model.__name__ == error.title), ()
    )
    lines = diagnosis.call_lines(code, error.title, line)
    shown = diagnosis.shown(file)
    return diagnosis.wrong(
        error, group, lambda key: f"{shown}:{nearest(lines, key[len(group) :]) or line}"
    )


def _line_in(error: BaseException, file: Path) -> int:
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(file)]
    return (lines[-1] if lines else None) or 1


def environment() -> Layer:
    for name in os.environ:
        _check_spelling(name, f"environment {name}", PREFIX)
    names = {name.upper(): name for name in os.environ}

    def where(key: Key) -> str:
        parts = [str(part).upper() for part in key]
        for length in range(len(parts), 0, -1):  # the variable may be the group's, as JSON
            name = PREFIX + "__".join(parts[:length])
            if name in names:
                return f"environment {names[name]}"
        return "environment"

    return Layer(_read(EnvSettingsSource, where, str.upper, env_prefix=PREFIX), where)


def secret_files(project: Path) -> Iterator[Layer]:
    """The directories of secrets, the least important first."""
    for directory in secret_directories(project):
        yield from _secret_directory(directory)


def secret_directories(project: Path) -> list[Path]:
    """Where they may lie; not each of them has to be there."""
    directories = [project / "config" / "secrets"]
    for variable in (SECRETS_DIR, "CREDENTIALS_DIRECTORY"):
        if os.environ.get(variable):
            directories.append(Path(os.environ[variable]))
    return directories


def _secret_directory(directory: Path) -> Iterator[Layer]:
    try:
        files = [file for file in directory.iterdir() if file.is_file()]
    except FileNotFoundError:
        return
    except OSError as error:
        raise SettingsError(f"{directory}: {error.strerror}") from None
    names = {}
    for file in files:
        if file.name.upper().startswith(PREFIX):
            _check_spelling(file.name, str(file), PREFIX.lower())
            read_secret(file)
            names[file.name.upper()] = file
    if names:

        def where(key: Key) -> str:
            return str(names.get(PREFIX + "__".join(map(str, key)).upper(), directory))

        values = _read(
            NestedSecretsSettingsSource,
            where,
            str.lower,
            secrets_dir=directory,
            secrets_prefix=PREFIX,
            secrets_nested_delimiter="__",
        )
        yield Layer(values, where)


def _read(
    reader: Any, where: Callable[[Key], str], spelt: Callable[[str], str], **options: Any
) -> dict[str, Any]:
    if reader is EnvSettingsSource:
        options["env_nested_delimiter"] = "__"
    try:
        return dict(reader(_Sources, case_sensitive=False, **options)())
    except SourceError as error:
        # Its text names classes of pydantic-settings, and the group in quotes.
        group = next((name for name in diagnosis.GROUPS if f'"{name}"' in str(error)), None)
        if group is None:
            raise SettingsError(f"{where(())}: {error}: expected JSON") from None
        key = spelt(f"{PREFIX}{group}__{next(iter(diagnosis.GROUPS[group].model_fields))}")
        problem = f"expected JSON, or one key by itself, such as {key}"
        raise SettingsError(f"{where((group,))}: {group}: {problem}") from None


def _check_spelling(name: str, where: str, prefix: str) -> None:
    """Refuse what is nearly a key of ours.

    Not everything with our prefix: a cluster puts LAMSON_SERVICE_HOST and the like there.
    """
    if name.upper().startswith(PREFIX):
        key, _, inner = name[len(PREFIX) :].lower().partition("__")
        if key not in Settings.model_fields:
            for near in get_close_matches(key, Settings.model_fields, 1, 0.8):
                right = f"{near}__{inner}" if inner else near
                right = prefix + (right.upper() if prefix.isupper() else right)
                raise SettingsError(f"{where}: unknown key; did you mean {right}?")
