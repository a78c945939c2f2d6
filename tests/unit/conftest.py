"""Fixtures for several unit tests."""

from __future__ import annotations

import importlib
import sys
import textwrap
from typing import TYPE_CHECKING, Protocol

import pytest

from lamson.routing.router import Router

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lamson.routing.signing import Signer


class Collect(Protocol):
    def __call__(self, *sources: str, signer: Signer | None = None) -> Router: ...


@pytest.fixture
def collect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Collect]:
    """Writes each source as a module, `one`, `two`, ..., and collects their routes.

    The sources begin with one line that imports what handler modules use.
    """
    imports = "from lamson.routing import *\n"
    names = ["one", "two", "three"]
    monkeypatch.syspath_prepend(str(tmp_path))

    def write_and_collect(*sources: str, signer: Signer | None = None) -> Router:
        chosen = names[: len(sources)]
        for name, source in zip(chosen, sources, strict=True):
            sys.modules.pop(name, None)
            (tmp_path / f"{name}.py").write_text(imports + textwrap.dedent(source).lstrip("\n"))
        importlib.invalidate_caches()
        defaults = {"host": r"(localhost|test\.com)", "user": "[a-z]+"}
        return Router.collect(chosen, defaults, signer=signer)

    yield write_and_collect
    for name in names:
        sys.modules.pop(name, None)
