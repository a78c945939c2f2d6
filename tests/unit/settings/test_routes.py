"""lamson.settings.routes: what every process and command makes of the handler modules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lamson.errors import RouteError
from lamson.message.notes import Notary
from lamson.settings import Settings
from lamson.settings.routes import collect_routes, doubts

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.conftest import Collect


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


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("sqlalchemy.orm.Session", "a Session"),
        ("lamson.Thread", "a Thread"),
    ],
)
def test_what_a_handler_takes_out_of_a_database_needs_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, what: str
) -> None:
    name = f"handlers_that_take_{what[2:].lower()}"
    module, _, kind = kind.rpartition(".")
    (tmp_path / f"{name}.py").write_text(
        f"from {module} import {kind}\nfrom lamson import route, stateless\n\n"
        f'@route("here@(host)")\n@stateless\ndef here(message, it: {kind}, host):\n    pass\n'
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    settings = Settings(handlers=[name], route_defaults={"host": "x"})
    with pytest.raises(RouteError, match=rf"{name}\.py:4: here takes {what}.*set `database`"):
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
    (tmp_path / "acting_3.py").write_text(
        "from lamson import Signed, action, route, stateless\n"
        '@route("leave-(token)@(host)", token=Signed("leave"))\n'
        '@route("go-(token)@(host)", token=Signed("leave"), proven=True)\n'
        "@action\n@stateless\ndef leave(message, host, token): ...\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    settings = Settings(handlers=["acting_3"], route_defaults={"host": ".+"}, authserv_id="mx.test")
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


@pytest.mark.parametrize(
    ("format", "said"),
    [
        ("support", "it has no @"),
        (r"support\.x", "it has no @"),
        ("(tag)", "it has no @"),
        ("mailto:support@x", "without mailto:"),
        ("<support@x>", "without mailto:"),
        ("Support <support@x>", "without mailto:"),
        ("support @x", "without mailto:"),
        *(
            (one, "")
            for one in ("postmaster", "(?:post|web)master", ".+", ".*x", "[^x]+", "[!-~]+")
        ),
        *((one, "") for one in ('"a b"@x', "[a b]+@x", r"\S+", r"\x40x", "support@x")),
    ],
)
def test_what_no_address_matches_is_doubted(collect: Collect, format: str, said: str) -> None:
    router = collect(
        f"@stateless\n@route({format!r}{', tag=chr(97)' if '(tag)' in format else ''})\n"
        "def handle(message, **captures): ...\n"
    )
    found = [doubt for _, doubt in doubts(router)]
    assert len(found) == bool(said)
    assert said in "".join(found)


@pytest.mark.parametrize(
    ("format", "is_odd"),
    [
        ("support+@x", True),
        ("support+(tag)@x", True),
        (r"support\+(tag)@x", False),
        (r"\d+@x", False),
        ("[a-z]+@x", False),
        ("(?:t)+@x", False),
        ("lists?@x", False),
    ],
)
def test_a_plus_that_is_hardly_meant_as_it_stands(
    collect: Collect, format: str, is_odd: bool
) -> None:
    router = collect(
        f"@stateless\n@route({format!r}{', tag=chr(97)' if '(tag)' in format else ''})\n"
        "def handle(message, **captures): ...\n"
    )
    assert bool(list(doubts(router))) == is_odd
