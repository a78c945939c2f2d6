"""Variables and secret files that look like settings and are none.

For the commands that start a service or show its settings. Such a name sets nothing, and would
otherwise do so in silence: ``LAMSON_LMTP_LISTEN`` is no key, ``LAMSON_LMTP__LISTEN`` is. It stops
nothing, for an application may have variables of its own with our prefix, and a cluster puts some
there for each of its services. Values are never told.
"""

from __future__ import annotations

import os
import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, get_origin

from lamson.settings.diagnosis import GROUPS
from lamson.settings.model import Settings
from lamson.settings.sources import PREFIX, SECRETS_DIR, secret_directories
from lamson.settings.trust import SAFE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_SPECIAL = {SECRETS_DIR, SAFE, "LAMSON_FAILPOINT", "LAMSON_FAILPOINT_DIR"}
# What Kubernetes, and Docker's links, tell each container of a service that is called lamson…
_OF_A_CLUSTER = re.compile(
    r"\w+_SERVICE_(HOST|PORT(_\w+)?)|\w+_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?"
)
_ADDRESS = re.compile(r"(tcp|udp|sctp)://")  # the value of LAMSON_PORT there


def strays(project: Path) -> list[str]:
    """A line for each name that sets nothing, with the one that was probably meant."""
    return [*_variables(), *_files(project)]


def _variables() -> Iterator[str]:
    for name, value in sorted(os.environ.items()):
        upper = name.upper()
        if not upper.startswith(PREFIX) or upper in _SPECIAL or _is_setting(upper):
            continue
        if _OF_A_CLUSTER.fullmatch(upper) or (upper.endswith("_PORT") and _ADDRESS.match(value)):
            continue
        yield _line(f"environment {name}", upper, str.upper)


def _files(project: Path) -> Iterator[str]:
    for directory in secret_directories(project):
        # One that cannot be read has stopped the loading of the settings.
        names = sorted(os.listdir(directory)) if directory.is_dir() else []
        for name in names:
            upper = name.upper()
            is_ours = upper.startswith(PREFIX) and (directory / name).is_file()
            if is_ours and not _is_setting(upper):
                yield _line(str(directory / name), upper, str.lower)


def _line(where: str, name: str, spelt: Callable[[str], str]) -> str:
    near = get_close_matches(_plain(name), _KNOWN, 1)
    meant = f"; did you mean {spelt(_KNOWN[near[0]])}?" if near else ""
    return f"{where}: no setting has this name, and it does nothing{meant}"


def _plain(name: str) -> str:
    return name.removeprefix(PREFIX).replace("__", "_")


def _is_setting(name: str) -> bool:
    """Whether the name reaches a key; a wrong one within a group is an error already."""
    key, _, inner = name.removeprefix(PREFIX).lower().partition("__")
    field = Settings.model_fields.get(key)
    return field is not None and (
        not inner or key in GROUPS or get_origin(field.annotation) is dict
    )


def _names() -> Iterator[str]:
    for key in Settings.model_fields:
        yield PREFIX + key.upper()
        if key in GROUPS:
            for inner in GROUPS[key].model_fields:
                yield f"{PREFIX}{key}__{inner}".upper()


_KNOWN = {_plain(name): name for name in _names()}
