"""The loader: which functions of a module count, and modules that cannot be loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lamson.errors import RouteError
from lamson.routing.declaration import HANDLERS
from lamson.routing.loader import load
from lamson.routing.router import Router

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.conftest import Collect

GOOD = '@route("(user)@(host)")\ndef START(message, user, host): ...\n'


def test_handlers_are_the_functions_defined_in_the_module(collect: Collect) -> None:
    router = collect(
        """
        @route("(user)@(host)")
        def START(message, user, host): ...
        """,
        """
        from one import START as OTHER
        @route("a@(host)")
        def START(message, host): ...
        ALIAS = START
        def helper(): ...
        """,
    )
    assert [str(route.handler) for route in router.routes] == ["one.START", "two.START"]


def test_an_error_in_what_the_module_imports_is_named_there(
    collect: Collect, tmp_path: Path
) -> None:
    (tmp_path / "their_model.py").write_text("\n\nint('x')\n")
    with pytest.raises(RouteError, match="module one cannot be imported: ValueError") as refused:
        collect("import their_model")
    assert refused.value.file.endswith("their_model.py")
    assert refused.value.line == 3
    assert isinstance(refused.value.__cause__, ValueError)


def test_missing_modules(collect: Collect) -> None:
    with pytest.raises(RouteError, match=r"no module nowhere$") as refused:
        Router.collect(["nowhere"], {})
    assert refused.value.setting == "handlers"
    with pytest.raises(RouteError, match=r"no module nowhere, for nowhere\.handlers$"):
        Router.collect(["nowhere.handlers"], {})
    collect(GOOD)
    with pytest.raises(RouteError, match=r"no module one\.handlers"):
        Router.collect(["one.handlers"], {})
    with pytest.raises(RouteError, match="the module one is named twice"):
        Router.collect(["one", "one"], {"host": "x", "user": "y"})


def test_modules_are_loaded_one_after_another(
    collect: Collect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that what is wrong with the first one is told before what is wrong with the second."""
    collect(GOOD)
    (tmp_path / "broken.py").write_text("1 / 0\n")
    modules = load(["one", "broken"], HANDLERS)
    assert next(modules).__name__ == "one"
    with pytest.raises(RouteError, match="module broken cannot be imported"):
        next(modules)
