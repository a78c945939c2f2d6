"""lamson.settings.routes: what every process and command makes of the handler modules."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lamson.errors import RouteError
from lamson.settings import Settings
from lamson.settings.routes import collect_routes

if TYPE_CHECKING:
    from pathlib import Path


def write(directory: Path, name: str, capture: str) -> None:
    (directory / f"{name}.py").write_text(
        "from lamson import route\n"
        f'@route("({capture})@(host)", {capture}=".+")\n'
        f"def START(message, host, {capture}): ...\n"
    )


def test_the_routes_have_the_captures_of_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "handlers_to_collect", "user")
    monkeypatch.syspath_prepend(str(tmp_path))
    settings = Settings(handlers=["handlers_to_collect"], route_defaults={"host": r"test\.com"})
    (match,) = collect_routes(settings).match("zed@test.com")
    assert match.captures == {"user": "zed", "host": "test.com"}


def test_a_capture_that_templates_need_themselves_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "handlers_to_refuse", "local")
    monkeypatch.syspath_prepend(str(tmp_path))
    settings = Settings(handlers=["handlers_to_refuse"], route_defaults={"host": ".+"})
    with pytest.raises(RouteError, match=r"\(local\) cannot be the name of a capture"):
        collect_routes(settings)
