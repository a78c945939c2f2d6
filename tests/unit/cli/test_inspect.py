"""`lamson routes` and `lamson config`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from lamson.message.notes import Notary
from lamson.routing.signing import Signed
from lamson.settings.keys import signer_of
from lamson.settings.loading import load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.cli.conftest import Done

    Lamson = Callable[..., Done]

MODULE = "handlers_of_the_cli_tests"


@pytest.mark.usefixtures("project")
def test_routes_in_the_order_in_which_they_are_tried(lamson: Lamson) -> None:
    done = lamson("routes")
    assert (done.status, done.err) == (0, "")
    assert [line.split() for line in done.out.splitlines()] == [
        ["1", "(name)@(host)", f"{MODULE}.START", f"{MODULE}.py:3"],
        ["2", ".*@(host)", f"{MODULE}.WATCH", f"{MODULE}.py:6", "stateless"],
    ]


@pytest.mark.usefixtures("project")
def test_an_address_is_followed_through_the_routes(lamson: Lamson) -> None:
    done = lamson("routes", "-test", "zed@test.com")
    assert done.status == 0
    first, second, stateless, states = done.out.splitlines()
    assert first.endswith("yes: name=zed, host=test.com")
    assert second.endswith("yes: host=test.com")
    assert stateless == f"zed@test.com runs {MODULE}.WATCH (stateless)"
    assert states.endswith(f"whose state its sender is in (at first START): {MODULE}.START")


@pytest.mark.usefixtures("project")
def test_why_an_address_is_not_routed(lamson: Lamson) -> None:
    done = lamson("routes", "-test", "zed@example.com")
    assert done.status == 1
    first, second, verdict = done.out.splitlines()
    assert "no: host: 'example.com' does not match" in first
    assert "no: " in second
    assert verdict == "zed@example.com is not routed: it is refused with 550 5.1.1"


def test_signed_routes_and_why_an_address_is_not_routed(
    lamson: Lamson, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAMSON_HANDLERS", "handlers_that_are_signed")
    (project / "handlers_that_are_signed.py").write_text(
        "from lamson import Signed, route\n"
        '@route("ok-(token)@(host)", token=Signed("post", days=1.5))\n'
        "def START(message, token, host): ...\n"
    )
    assert lamson("routes").out.endswith("_signed.py:2  (token) signed: post, 1.5 days\n")
    settings = load(project)
    Notary.of(settings.run_dir, None)
    token = signer_of(settings).sign(Signed("post", days=1.5), "17")
    done = lamson("routes", "-test", f"ok-{token}@test.com")
    assert (done.status, "yes: token=17, host=test.com" in done.out) == (0, True)
    done = lamson("routes", "-test", f"ok-{token[::-1]}@test.com")
    assert done.status == 1
    assert "no: token: forged or expired" in done.out


@pytest.mark.usefixtures("project")
def test_what_is_no_address_is_not_looked_for(lamson: Lamson) -> None:
    done = lamson("routes", "-test", "bad address@test.com")
    assert (done.status, done.out) == (os.EX_USAGE, "")
    assert "-test" in done.err
    assert "'bad address@test.com'" in done.err


@pytest.mark.usefixtures("project")
def test_an_address_is_read_as_the_lmtp_server_reads_it(lamson: Lamson) -> None:
    done = lamson("routes", "-test", '"zed"@TEST.com')
    assert done.status == 0
    assert done.out.splitlines()[0].endswith("yes: name=zed, host=test.com")


def test_a_broken_handler_module_is_one_line(
    lamson: Lamson, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAMSON_HANDLERS", "no_such_module_of_the_cli_tests")
    done = lamson("routes")
    assert done.status == os.EX_CONFIG
    assert done.err.count("\n") == 1
    assert "no_such_module_of_the_cli_tests" in done.err


@pytest.mark.parametrize("command", [("routes",), ("postfix", "maps")])
def test_a_capture_with_a_name_that_templates_need(
    lamson: Lamson, project: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    name = f"{MODULE}_{command[0]}"  # another one each time, since modules stay imported
    monkeypatch.setenv("LAMSON_HANDLERS", f'["{name}"]')
    (project / f"{name}.py").write_text(
        "from lamson import route, stateless\n\n"
        '@stateless\n@route("(local)@x", local=".+")\ndef LOG(message, local): ...\n'
    )
    done = lamson(*command)
    assert done.status == os.EX_CONFIG
    assert f"{name}.py:4: (local) cannot be the name of a capture" in done.err


def test_config_shows_values_and_origins(
    lamson: Lamson, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAMSON_THREADS", "3")
    done = lamson("config")
    assert done.status == 0
    lines = {line.split()[0]: line.split()[1:] for line in done.out.splitlines()}
    assert lines["threads"] == ["3", "environment", "LAMSON_THREADS"]
    assert lines["handlers"] == [MODULE, "config/settings.py:2"]
    assert lines["workers"] == ["1", "default"]
    assert lines["domains"] == ["none", "default"]
    assert lines["socketmap.listen"] == ["none", "default"]


def test_config_names_a_variable_that_sets_nothing(
    lamson: Lamson, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAMSON_LMTP_LISTEN", "127.0.0.1:1")
    done = lamson("config")
    assert done.status == 0
    assert done.err == (
        "lamson: environment LAMSON_LMTP_LISTEN: no setting has this name, and it does nothing;"
        " did you mean LAMSON_LMTP__LISTEN?\n"
    )


@pytest.mark.parametrize("command", [("routes",), ("postfix", "maps")])
def test_a_missing_handler_module(
    lamson: Lamson, project: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    settings = project / "config" / "settings.py"
    settings.write_text(settings.read_text().replace(MODULE, "no_handlers_at_all"))
    done = lamson(*command)
    assert done.status == os.EX_CONFIG
    assert done.err == (
        "lamson: config/settings.py:2: handlers: there is no module no_handlers_at_all\n"
    )
    monkeypatch.setenv("LAMSON_HANDLERS", '["no_package.nothing"]')
    assert lamson(*command).err == (
        "lamson: environment LAMSON_HANDLERS: handlers: there is no module no_package,"
        " for no_package.nothing\n"
    )


def test_outside_a_project(lamson: Lamson) -> None:
    for name in ("config", "routes", "start", "status", "syncdb"):
        done = lamson(name)
        assert done.status == os.EX_CONFIG
        assert "make a project: lamson gen -project NAME" in done.err


def test_routes_say_what_they_want_proven(lamson: Lamson, project: Path) -> None:
    (project / "acting_handlers.py").write_text(
        "from lamson import action, route, stateless\n"
        '@route("close@(host)", proven=True)\n@route("leave@(host)")\n'
        "@action\n@stateless\ndef act(message, host): ...\n"
    )
    settings = project / "config/settings.py"
    settings.write_text(settings.read_text().replace(MODULE, "acting_handlers"))
    done = lamson("routes")
    assert done.status == os.EX_CONFIG
    assert "acting_handlers.py:2: 'close@(host)' takes only proven mail" in done.err
    settings.write_text(settings.read_text().replace("(hand", "(authserv_id='mx.test', hand"))
    done = lamson("routes")
    assert "acting_handlers.py:3: act is marked @action" in done.err
    settings.write_text(settings.read_text().replace("(auth", "(unproven_actions='warn', auth"))
    done = lamson("routes")
    assert (done.status, done.err) == (0, "")
    assert [line.split()[4:] for line in done.out.splitlines()] == [
        ["stateless", "proven", "action"],
        ["stateless", "action", "WITHOUT", "PROOF"],
    ]
    assert "close@(host)" in lamson("routes", "-test", "close@test.com").out
    assert "; only of a proven author" in lamson("routes", "-test", "close@test.com").out
