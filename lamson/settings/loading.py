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

import os
import re
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, SecretStr, ValidationError

from lamson.errors import LamsonError, SettingsError
from lamson.settings import diagnosis
from lamson.settings.diagnosis import nearest
from lamson.settings.model import (
    Lmtp,
    Milter,
    Settings,
    Socketmap,
    Submission,
    is_loopback,
    read_secret,
)
from lamson.settings.sources import environment, secret_files, settings_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lamson.settings.diagnosis import Key

FILE = Path("config", "settings.py")

Group = TypeVar("Group", bound=BaseModel)
Listener = TypeVar("Listener", Lmtp, Milter, Socketmap)

_UNIX_PATH_LIMIT = 107  # octets of sockaddr_un.sun_path, without the final NUL
_SQLITE_FILE = re.compile(r"(sqlite(?:\+\w+)?:///)(?!/|:memory:|file:)([^?]+)(.*)", re.DOTALL)
_URL_PASSWORD = re.compile(r"((?<=://)[^:@/]*:|[?&]password=)([^&]*(?=@)|[^&]*)")


@dataclass(frozen=True, slots=True)
class Origin:
    """One effective setting: dotted key, value as text (secrets masked), where it was set."""

    key: str
    value: str
    where: str


def find_project(start: Path) -> Path:
    """The nearest directory from ``start`` upwards with a ``config/settings.py``, absolute.

    Raises SettingsError where there is none.
    """
    start = start.resolve()
    for directory in (start, *start.parents):
        if (directory / FILE).is_file():
            return directory
    raise SettingsError(
        f"{start}: no {FILE} here or above; make a project: lamson gen -project NAME"
    )


def load(project: Path) -> Settings:
    """The effective settings of the project, all paths absolute. Raises SettingsError.

    The project's directory is put first on ``sys.path``, for its settings, handlers and models.
    """
    return _load(project)[0]


def origins(project: Path) -> list[Origin]:
    """Every setting with its effective value and where that came from. Raises SettingsError."""
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
    return _made_absolute(settings, project, found), found


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
        return "********"
    if key == ("database",):
        return _URL_PASSWORD.sub(r"\1********", str(value))
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{name}={item}" for name, item in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)


def _made_absolute(settings: Settings, project: Path, found: Mapping[Key, str]) -> Settings:
    lmtp = _absolute(settings.lmtp, project, "tls_certificate", "tls_key", "client_ca_file")
    lmtp = _absolute_listening(lmtp, "lmtp", project, found)
    socketmap = _absolute_listening(settings.socketmap, "socketmap", project, found)
    milter = _absolute_listening(settings.milter, "milter", project, found)
    milter = _absolute(milter, project, "secret_file")
    submission = _absolute(settings.submission, project, "secret_file", "ca_file")
    _check_lmtp(lmtp, found)
    _check_socketmap(socketmap, found)
    _check_milter(milter, found)
    _check_secrets(submission, found)
    return settings.model_copy(
        update={
            "lmtp": lmtp,
            "socketmap": socketmap,
            "milter": milter,
            "submission": submission,
            "postfix": _absolute(settings.postfix, project, "config_directory"),
            "database": _absolute_database(settings.database, project),
            "templates": [project / path for path in settings.templates],
            "run_dir": project / settings.run_dir,
            "log_file": settings.log_file and project / settings.log_file,
        }
    )


def _absolute(group: Group, project: Path, *names: str) -> Group:
    return group.model_copy(
        update={name: project / file for name in names if (file := getattr(group, name))}
    )


def _absolute_listening(
    group: Listener, name: str, project: Path, found: Mapping[Key, str]
) -> Listener:
    if group.unix_path is None:
        return group
    path = project / group.unix_path
    if len(os.fsencode(path)) > _UNIX_PATH_LIMIT:
        where = nearest(found, (name, "listen"))
        raise SettingsError(
            f"{where}: {name}.listen: expected a path of at most {_UNIX_PATH_LIMIT} octets, "
            f"got {path}"
        )
    return group.model_copy(update={"listen": f"unix:{path}"})


def _check_lmtp(lmtp: Lmtp, found: Mapping[Key, str]) -> None:
    """Who reaches the LMTP server can have mail handled as if Postfix had checked it."""
    key, problem = ("lmtp", "tls_certificate"), ""
    if (lmtp.tls_certificate is None) != (lmtp.tls_key is None):
        problem = "expected tls_certificate and tls_key, both or neither"
        key = ("lmtp", "tls_key") if lmtp.tls_certificate is None else key
    elif lmtp.client_ca_file is not None and lmtp.tls_certificate is None:
        key, problem = ("lmtp", "client_ca_file"), "expected tls_certificate beside it"
    elif lmtp.is_on_every_interface and lmtp.tls_certificate is None and not lmtp.allow:
        key = ("lmtp", "listen")
        problem = (
            f"{lmtp.listen} is every interface: expected tls_certificate and tls_key, or allow"
            " with the addresses of your Postfix; or listen on one address, such as"
            " 127.0.0.1:8823"
        )
    if problem:
        raise SettingsError(f"{nearest(found, key) or 'default'}: {'.'.join(key)}: {problem}")
    if lmtp.tls_key is not None:
        read_secret(lmtp.tls_key)


def _check_socketmap(socketmap: Socketmap, found: Mapping[Key, str]) -> None:
    """Who reaches the socketmap can ask which addresses there are."""
    if socketmap.listen and socketmap.is_on_every_interface and not socketmap.allow:
        raise SettingsError(
            f"{nearest(found, ('socketmap', 'listen'))}: socketmap.listen: {socketmap.listen} is"
            " every interface: expected allow with the addresses of your Postfix"
        )


def _check_milter(milter: Milter, found: Mapping[Key, str]) -> None:
    """Who reaches the milter can learn what filters think, and is believed to be Postfix."""
    key, problem = ("milter", "listen"), ""
    if milter.is_on_every_interface:
        problem = f"{milter.listen} is every interface: expected unix:path or one address"
    elif milter.secret is not None and milter.secret_file is not None:
        key, problem = ("milter", "secret"), "expected secret or secret_file, not both"
    if problem:
        raise SettingsError(f"{nearest(found, key)}: {'.'.join(key)}: {problem}")
    milter.signing_secret()


def _check_secrets(submission: Submission, found: Mapping[Key, str]) -> None:
    """Checked at the start, so that it is not found with the first mail."""
    given = [name for name in ("secret", "secret_file") if getattr(submission, name) is not None]
    problem = ""
    if len(given) == 2:
        problem = "expected secret or secret_file, not both"
    elif given and submission.user is None:
        problem = f"expected user beside {given[0]}"
    elif submission.user is not None and not given:
        problem = "expected secret or secret_file beside user"
    elif given and submission.security == "none" and not is_loopback(submission.host):
        problem = "expected security starttls or tls, lest the password go in clear"
    if problem:
        key: Key = ("submission", given[0] if given else "user")
        raise SettingsError(f"{nearest(found, key)}: submission: {problem}")
    submission.password()


def _absolute_database(url: str | None, project: Path) -> str | None:
    found = _SQLITE_FILE.fullmatch(url or "")
    return f"{found[1]}{project / found[2]}{found[3]}" if found else url
