"""What is wrong with a setting, and where: pydantic's ValidationError as one line.

For `lamson.settings.loading`: file and line, key, what is expected, what was given, and the key
that was probably meant. The lines are found in the source of the settings file; a file that does
something clever gives a line nearby, never another error.
"""

from __future__ import annotations

import ast
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lamson.errors import SettingsError
from lamson.settings.model import Settings
from lamson.settings.values import Group, Server
from lamson.storage.url import masked

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import BaseModel, ValidationError

    Key = tuple[str | int, ...]
    Lines = dict[Key, int]

GROUPS: dict[str, type[Group]] = {
    name: field.annotation
    for name, field in Settings.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, Group)
}
_POSITIONAL = {
    group.__name__: group.positional for group in GROUPS.values() if issubclass(group, Server)
}


def wrong(error: ValidationError, group: Key, where: Callable[[Key], str]) -> SettingsError:
    """One line for the first thing that is wrong; ``where`` tells where a key was set."""
    # A misspelt key first: it may be the reason why another is missing.
    details = sorted(error.errors(include_url=False), key=lambda one: one["type"] == "missing")
    detail = details[0]
    key: Key = (*group, *detail["loc"])
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in key).lstrip(".")
    return SettingsError(
        f"{where(key)}: {text}: {_problem(detail, key)}" if text else detail["msg"]
    )


def _problem(detail: Any, key: Key) -> str:
    kind, given = detail["type"], detail["input"]
    model: type[BaseModel] = GROUPS.get(str(key[0]), Settings) if len(key) > 1 else Settings
    if kind == "extra_forbidden":
        from difflib import get_close_matches

        near = get_close_matches(str(key[-1]), model.model_fields, 1)
        return (
            f"unknown key; did you mean {near[0]}?"
            if near
            else (f"unknown key; expected one of {', '.join(model.model_fields)}")
        )
    if kind == "missing":
        return f"required: {model.model_fields[str(key[-1])].description}"
    if kind in ("model_type", "model_attributes_type"):
        expected = f"expected {GROUPS[str(key[0])].__name__}(...)"
    else:
        expected = detail["msg"].removeprefix("Value error, ")
        expected = expected.replace("Input should be", "expected", 1)
        expected = re.sub("^expected (greater|less)", r"expected a number \1", expected)
    if key[-1] in ("secret", "database") or not isinstance(given, str | int | float | bytes | Path):
        return expected
    if isinstance(given, str):
        given = masked(given)
    return f"{expected}, got {str(given) if isinstance(given, Path) else given!r}"


def nearest(places: Mapping[Key, Any], key: Key) -> Any:
    """What is known of the key, or of the group or list that it stands in, or of a part of it."""
    for length in range(len(key), 0, -1):
        if key[:length] in places:
            return places[key[:length]]
    if not key:
        return None
    return next((place for other, place in places.items() if other[: len(key)] == key), None)


def shown(file: Path) -> str:
    """The path as the reader would type it: relative where it lies below the current directory."""
    try:
        relative = os.path.relpath(file)
    except (OSError, ValueError):
        return str(file)
    return str(file) if relative.startswith("..") else relative


def keyword_lines(code: str, name: str) -> Lines:
    """The lines of ``name = Call(key=…, group=Call(key=…))``, by key, and by group and key."""
    values = _assignments(ast.parse(code))
    call = values.get(name)
    if not isinstance(call, ast.Call):
        return {}
    lines: Lines = {}
    for keyword in call.keywords:
        if keyword.arg is not None:
            lines[(keyword.arg,)] = keyword.lineno
            value = keyword.value
            if isinstance(value, ast.Name):
                value = values.get(value.id, value)
            if isinstance(value, ast.Call):
                for key, line in _of_call(value).items():
                    lines[(keyword.arg, *key)] = line
    return lines


def call_lines(code: str, name: str, line: int) -> Lines:
    """The lines of the arguments of the call of ``name`` that stands at ``line``."""
    calls = [
        node
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Call)
        and _called(node) == name
        and node.lineno <= line <= (node.end_lineno or node.lineno)
    ]
    return _of_call(calls[-1]) if calls else {}


def _assignments(tree: ast.Module) -> dict[str, ast.expr]:
    values: dict[str, ast.expr] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            values[node.targets[0].id] = node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            values[node.target.id] = node.value
    return values


def _of_call(call: ast.Call) -> Lines:
    lines: Lines = {(k.arg,): k.lineno for k in call.keywords if k.arg is not None}
    positional = _POSITIONAL.get(_called(call))
    if call.args and positional:
        lines[(positional,)] = call.args[0].lineno
    return lines


def _called(call: ast.Call) -> str:
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
