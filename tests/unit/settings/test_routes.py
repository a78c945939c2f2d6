"""lamson.settings.routes: what every process and command makes of the handler modules."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lamson.errors import RouteError
from lamson.message.notes import Notary
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


def write_signed(directory: Path, name: str, *, once: bool) -> None:
    (directory / f"{name}.py").write_text(
        "from lamson import Signed, route\n"
        f'@route("(token)@(host)", token=Signed("subscribe", once={once}))\n'
        "def START(message, host, token): ...\n"
    )


def test_signed_addresses_verify_by_the_key_of_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_signed(tmp_path, "handlers_that_sign", once=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    settings = Settings(
        handlers=["handlers_that_sign"], route_defaults={"host": r"test\.com"}, run_dir=tmp_path
    )
    router = collect_routes(settings)
    with pytest.raises(ValueError, match="has no key"):
        router.purposes.sign("subscribe", "zed")
    Notary.of(tmp_path, None)  # as the service does at its start
    token, _ = router.purposes.sign("subscribe", "zed")
    (match,) = collect_routes(settings).match(f"{token}@test.com")
    assert match.captures["token"] == "zed"
    assert not collect_routes(settings).match(f"{token[::-1]}@test.com")


def test_a_token_that_counts_once_needs_a_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_signed(tmp_path, "handlers_that_redeem", once=True)
    monkeypatch.syspath_prepend(str(tmp_path))
    settings = Settings(handlers=["handlers_that_redeem"], route_defaults={"host": "x"})
    with pytest.raises(RouteError, match=r"redeem\.py:2: .* needs a database"):
        collect_routes(settings)
    collect_routes(settings.model_copy(update={"database": "sqlite://"}))


def test_a_capture_that_templates_need_themselves_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "handlers_to_refuse", "local")
    monkeypatch.syspath_prepend(str(tmp_path))
    settings = Settings(handlers=["handlers_to_refuse"], route_defaults={"host": ".+"})
    with pytest.raises(RouteError, match=r"\(local\) cannot be the name of a capture"):
        collect_routes(settings)
