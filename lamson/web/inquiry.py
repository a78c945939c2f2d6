"""What only the code of the project knows, asked of a process of its own.

For the pages about routes and templates. The window imports nothing of the project: so it shows the
code as it is now, however often that has changed, and no handler module that hangs, ends the
process or fails to load takes the window with it. `inquire` starts ``python -m
lamson.web.inquiry``, a few at a time; what the code prints goes nowhere near the answer.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lamson.errors import LamsonError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamson.routing.router import Route, Router
    from lamson.settings.model import Settings

TIMEOUT = 20.0  # seconds
_AT_ONCE = threading.BoundedSemaphore(2)
_MOST = 8 * 1024 * 1024  # characters of an answer
_UNDEFINED = re.compile(r"'(\w+)' is not defined")
_MOST_NAMES = 200  # that a template may use
TEMPLATES = (".txt", ".html", ".htm", ".md", ".mjml")


def inquire(project: Path, what: str, **details: str) -> dict[str, Any]:
    """Ask for ``routes``, ``explain`` (an address), ``templates`` or ``preview`` (a template).

    Raises LamsonError with what is wrong with the code, UnavailableError where it does not answer
    in time, or where too much is asked at once.
    """
    if not _AT_ONCE.acquire(timeout=TIMEOUT):
        raise UnavailableError("too much is asked at once; load the page again")
    try:
        done = subprocess.run(
            [sys.executable, "-m", "lamson.web.inquiry"],
            input=json.dumps({"project": str(project), "what": what, **details}).encode(),
            capture_output=True,
            timeout=TIMEOUT,
            check=False,
            cwd=project,
        )
    except subprocess.TimeoutExpired:
        raise UnavailableError(f"the code of the project did not load in {TIMEOUT:.0f} s") from None
    finally:
        _AT_ONCE.release()
    try:
        answer = json.loads(done.stdout[:_MOST])
    except ValueError:
        said = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise LamsonError(f"the code of the project ended the process: {said[:500]}") from None
    if "error" in answer:
        raise LamsonError(answer["error"])
    assert isinstance(answer, dict)
    return answer


def main() -> None:
    """Answer what standard input asks, on standard output."""
    question = json.loads(sys.stdin.buffer.read())
    answers = os.dup(1)
    os.dup2(2, 1)  # what the code prints is no answer
    try:
        answer = _answer(question)
    except LamsonError as error:
        answer = {"error": str(error)}
    except Exception as error:  # noqa: BLE001 - of the project's code, whatever it is
        answer = {"error": _located(error, Path(question["project"]))}
    with open(answers, "wb") as out:
        out.write(json.dumps(answer).encode())
        out.flush()
        os._exit(0)  # threads of the project's must not keep us


def _answer(question: dict[str, str]) -> dict[str, Any]:
    from lamson.settings import loading
    from lamson.settings.routes import collect_routes

    project = Path(question["project"])
    settings = loading.load(project)
    if question["what"] == "templates":
        return {"templates": sorted(_templates(settings))}
    if question["what"] == "preview":
        return _preview(settings, question["template"])
    with loading.placing(project):
        router = collect_routes(settings)
    if question["what"] == "explain":
        return _explain(router, question["address"], project)
    return {"routes": [_route(number, one, project) for number, one in _numbered(router)]}


def _numbered(router: Router) -> Iterator[tuple[int, Route]]:
    return enumerate(router.routes, 1)


def _route(number: int, route: Route, project: Path) -> dict[str, Any]:
    file = os.path.relpath(route.file, project)
    words = {
        "stateless": route.handler.is_stateless,
        "proven": route.proven,
        "action": route.handler.is_action,
        "no spam": route.handler.spam_filter is not None,
    }
    return {
        "number": number,
        "format": route.format,
        "handler": str(route.handler),
        "place": f"{route.file if file.startswith('..') else file}:{route.line}",
        "kind": ", ".join(word for word, applies in words.items() if applies),
        "signed": ", ".join(f"({name}) {one.purpose}" for name, one in route.signed),
    }


def _explain(router: Router, text: str, project: Path) -> dict[str, Any]:
    from lamson.smtp.address import parse_mailbox

    address = parse_mailbox(text, smtputf8=True)
    matches = router.match(address)
    found = {match.route for match in matches}
    verdicts = []
    for number, (route, captures, why_not) in enumerate(router.explain(address), 1):
        one = _route(number, route, project)
        one["matches"] = captures is not None
        one["captures"] = captures or {}
        one["why"] = why_not
        if captures is not None and route not in found:
            one["why"] = "but its handler was found already"
        verdicts.append(one)
    return {
        "address": address,
        "routes": verdicts,
        "stateless": [str(one.handler) for one in matches if one.handler.is_stateless],
        "states": [str(one.handler) for one in matches if not one.handler.is_stateless],
    }


def _templates(settings: Settings) -> set[str]:
    return {
        str(file.relative_to(directory))
        for directory in settings.templates
        for file in directory.rglob("*")
        if file.suffix in TEMPLATES and file.is_file()
    }


def _preview(settings: Settings, template: str) -> dict[str, Any]:
    """The template with the data of ``NAME.sample.json`` beside it, and made-up data besides."""
    from lamson.errors import TemplateError
    from lamson.message.templates import Templates

    if template not in _templates(settings):
        raise LamsonError(f"there is no template {template}")
    given = _sample_data(settings, template)
    values: dict[str, Any] = dict(given)
    templates = Templates(settings.templates)
    for _ in range(_MOST_NAMES):
        try:
            message = templates.respond(
                template, values, to="reader@example.com", sender="app@example.com", subject=""
            )
        except TemplateError as error:
            missing = _UNDEFINED.search(str(error))
            if missing is None or missing[1] in values:
                raise
            values[missing[1]] = Sample(missing[1])
        else:
            break
    else:
        raise LamsonError(f"{template}: it uses more than {_MOST_NAMES} names")
    return {
        "text": message.body or "",
        "html": message.html or "",
        "given": sorted(given),
        "made_up": sorted(values.keys() - given.keys()),
    }


def _sample_data(settings: Settings, template: str) -> dict[str, Any]:
    for directory in settings.templates:
        file = (directory / template).with_suffix(".sample.json")
        if file.is_file():
            try:
                data = json.loads(file.read_text(encoding="utf-8"))
            except ValueError as error:
                raise LamsonError(f"{file}: {error}") from None
            if not isinstance(data, dict):
                raise LamsonError(f"{file}: expected an object with the names of the template")
            return {name: _with_attributes(value) for name, value in data.items()}
    return {}


def _with_attributes(value: object) -> object:
    """JSON's objects as templates use things: by attribute."""
    if isinstance(value, dict):
        from types import SimpleNamespace

        return SimpleNamespace(**{str(key): _with_attributes(one) for key, one in value.items()})
    return [_with_attributes(one) for one in value] if isinstance(value, list) else value


class Sample:
    """Stands for whatever a template uses: shows its name, is true, and has two items."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Sample:
        if name.startswith("__"):
            raise AttributeError(name)
        return Sample(f"{self._name}.{name}")

    def __getitem__(self, key: object) -> Sample:
        return Sample(f"{self._name}[{key!r}]")

    def __call__(self, *arguments: object, **named: object) -> Sample:
        return Sample(f"{self._name}()")

    def __iter__(self) -> Iterator[Sample]:
        return iter([Sample(f"{self._name}[0]"), Sample(f"{self._name}[1]")])

    def __len__(self) -> int:
        return 2

    def __str__(self) -> str:
        return f"[{self._name}]"

    def __format__(self, specification: str) -> str:
        return str(self)


def _located(error: Exception, project: Path) -> str:
    """The error with the innermost line of the project that it came through."""
    import traceback

    lines = [
        f"{os.path.relpath(frame.filename, project)}:{frame.lineno}: "
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).is_relative_to(project)
    ]
    if isinstance(error, SyntaxError) and error.filename:
        lines = [f"{os.path.relpath(error.filename, project)}:{error.lineno}: "]
    return f"{lines[-1] if lines else ''}{type(error).__name__}: {error}"


if __name__ == "__main__":
    main()
