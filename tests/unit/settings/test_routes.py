"""lamson.settings.routes: what every process and command makes of the handler modules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lamson.errors import RouteError
from lamson.routing.declaration import DeclaredRoute
from lamson.routing.signing import Signed
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


ACTING = """
from lamson import action, route, stateless

@route("leave@(host)"{proven})
@route("go@(host)", proven=True)
@action
@stateless
def leave(message, host): ...
"""


def acting(
    name: str, proven: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **more: Any
) -> Settings:
    (tmp_path / f"{name}.py").write_text(ACTING.format(proven=proven))
    monkeypatch.syspath_prepend(str(tmp_path))
    return Settings(handlers=[name], route_defaults={"host": ".+"}, **more)


def test_who_acts_wants_proof(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = acting("acting_1", "", tmp_path, monkeypatch, authserv_id="mx.test")
    with pytest.raises(RouteError, match=r"acting_1\.py:4: leave is marked @action.*proven=True"):
        collect_routes(settings)
    warned = settings.model_copy(update={"unproven_actions": "warn"})
    assert [route.format for route in collect_routes(warned).unproven_actions] == ["leave@(host)"]
    proven = acting("acting_2", ", proven=True", tmp_path, monkeypatch, authserv_id="mx.test")
    assert collect_routes(proven).unproven_actions == ()


def test_a_token_in_the_address_is_proof_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = acting("acting_3", "", tmp_path, monkeypatch, authserv_id="mx.test")
    monkeypatch.setattr(DeclaredRoute, "signed", (("token", Signed("leave")),))
    assert collect_routes(settings).unproven_actions == ()
    unset = settings.model_copy(update={"authserv_id": None})
    assert collect_routes(unset).unproven_actions == ()


def test_proof_is_nothing_that_nobody_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = acting("acting_4", "", tmp_path, monkeypatch)
    with pytest.raises(RouteError, match=r"acting_4\.py:5: .*nothing is proven: set authserv_id"):
        collect_routes(settings)


def test_what_is_done_to_who_stays_in_error_is_an_action_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "acting_5.py").write_text(
        "from lamson import action, route\n"
        '@route("leave@(host)")\ndef START(message, host): ...\n'
        "@action\ndef ERROR(message): ...\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    settings = Settings(handlers=["acting_5"], route_defaults={"host": ".+"})
    with pytest.raises(RouteError, match="ERROR is marked @action"):
        collect_routes(settings)
