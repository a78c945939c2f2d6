"""The examples of postfix/example, loaded into a real Postfix as they are but for the ports."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.docs.blocks import replaced
from tests.postfix.config import default_of
from tests.postfix.sender import send
from tests.waiting import free_port, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.postfix.stage import Stage

pytestmark = [pytest.mark.postfix, pytest.mark.slow]

EXAMPLES = Path(__file__).parents[2] / "postfix" / "example"


def read(name: str, ports: dict[str, int]) -> dict[str, str]:
    """The settings of an example, with these ports in place of its own."""
    text = (EXAMPLES / name).read_text()
    text = replaced(text, {port: str(instead) for port, instead in ports.items()})
    settings = re.findall(r"(?m)^(\w+) = ?(.*)$", text)
    assert settings, name
    for parameter, _ in settings:
        assert default_of(parameter) is not None, f"Postfix does not know {parameter}"
    return dict(settings)


@pytest.mark.parametrize("recipe", ["1-tables.cf", "2-socketmap.cf"])
def test_a_recipe_works(make_stage: Callable[..., Stage], recipe: str) -> None:
    ports = {"8824": free_port(), "8823": free_port()}
    main = read("common.cf", {}) | read(recipe, ports)
    stage = make_stage(
        main=main,
        environment={
            "LAMSON_SOCKETMAP__LISTEN": f"127.0.0.1:{ports['8824']}",
            "LAMSON_LMTP__LISTEN": f"127.0.0.1:{ports['8823']}",
        },
    )
    tables = stage.postfix.base / "etc" / "lamson"
    service, _, _ = (EXAMPLES / "master.cf").read_text().partition("\n\n")
    with (stage.postfix.base / "etc" / "master.cf").open("a") as master:
        master.write(f"{service}\n")
    stage.lamson.command("postfix", "maps", "-directory", str(tables))
    stage.postfix.reload()
    wait_for(
        lambda: (
            send(stage.postfix.smtp_port, "zed@sender.test", "nobody@app.test").recipients[
                "nobody@app.test"
            ][0]
            == 550
        ),
        "the unknown recipient to be refused",
    )
    sent = stage.write("zed@sender.test", "counted-one@app.test", "users-confirm-1@lists.test")
    stage.sink.wait(to="zed@sender.test")
    assert stage.lamson.wait_log("handled", sent.queue_id, "counted-one@app.test")


def test_the_milter_recipe_is_one_that_postfix_knows() -> None:
    assert read("3-milter.cf", {})["smtpd_milters"].endswith(", default_action=tempfail }")


def test_the_service_for_replies(make_stage: Callable[..., Stage]) -> None:
    stage = make_stage()
    port = free_port()
    entry = (EXAMPLES / "master.cf").read_text().replace("10587", str(port))
    with (stage.postfix.base / "etc" / "master.cf").open("a") as master:
        master.write(entry)
    stage.postfix.reload()
    wait_for(
        lambda: _takes(port),
        "the service to take mail for anywhere from loopback",
    )


def _takes(port: int) -> bool:
    try:
        return send(port, "list@app.test", "zed@world.test").data[0] == 250
    except OSError:
        return False
