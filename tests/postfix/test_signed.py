"""Signed addresses through a real Postfix: who may write to one is settled at RCPT, and once.

By the socketmap and by the milter; with tables Postfix knows the form alone, and bounces.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from lamson.message.notes import Notary
from lamson.routing.signing import Signed, Signer
from tests.postfix.milter import MilterService, talk
from tests.postfix.sender import send
from tests.service import LamsonService
from tests.waiting import free_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.postfix.instance import PostfixInstance
    from tests.postfix.sink import Sink
    from tests.postfix.stage import Stage

pytestmark = [pytest.mark.postfix, pytest.mark.slow]

ZED = "zed@sender.test"
RELEASE = Signed("release", days=1, once=True)
HELD = {"LAMSON_HANDLERS": "app.handlers.held", "LAMSON_POSTFIX__TRANSPORT": "lmtp"}


def signer(project: Path, *, days_ago: float = 0.0) -> Signer:
    """As the project in the test has signed then."""
    key = Notary.of(project / "run", None).key("signed addresses")
    return Signer(lambda: (key,), clock=lambda: time.time() - days_ago * 86400)


def worthless(project: Path) -> dict[str, str]:
    """Addresses that look signed."""
    token = signer(project).sign(RELEASE, "x")
    other = signer(project).sign(Signed("other"), "x")
    old = signer(project, days_ago=1.1).sign(RELEASE, "x")
    return {
        "forged": f"release-{token[::-1]}@app.test",
        "truncated": f"release-{token[:-1]}@app.test",
        "of another purpose": f"release-{other}@app.test",
        "of another route": f"other-{token}@app.test",
        "expired": f"release-{old}@app.test",
        "for nobody": f"token-{token}@app.test",
    }


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def environment(request: pytest.FixtureRequest, stories_project: Path) -> dict[str, str]:
    """For the service of a stage: its database, with the stories' tables."""
    if request.param == "sqlite":
        return HELD
    environment = {**HELD, "LAMSON_DATABASE": request.getfixturevalue("postgres_url")}
    LamsonService(stories_project, **environment).command("syncdb")
    return environment


def test_postfix_asks_and_each_counts_once(
    make_stage: Callable[..., Stage], environment: dict[str, str]
) -> None:
    port = free_port()
    stage = make_stage(
        main={
            "relay_recipient_maps": f"socketmap:inet:127.0.0.1:{port}:recipient",
            "unknown_relay_recipient_reject_code": "550",
        },
        environment={**environment, "LAMSON_SOCKETMAP__LISTEN": f"127.0.0.1:{port}"},
    )
    sink, smtp = stage.sink, stage.postfix.smtp_port
    for name in ("one", "two"):
        stage.write(ZED, f"held-{name}@app.test", subject=f"Post {name}")
    asked = {one.message["Subject"]: one.message["From"] for one in sink.wait(2, to=ZED)}
    first, second = asked["Release one?"], asked["Release two?"]

    bad = worthless(stage.lamson.project)
    sent = send(smtp, ZED, *bad.values(), first.upper())
    replies = {why: sent.recipients[address] for why, address in bad.items()}
    assert {reply[0] for reply in replies.values()} == {550}, replies
    texts = {reply[1].replace(bad[why], "") for why, reply in replies.items()}
    assert len(texts) == 1, "no reply tells more than another"
    assert sent.recipients[first.upper()][0] == 250
    sink.wait(where=lambda one: one.message["Subject"] == "Released one: Post one")

    stage.write(ZED, first, subject="Once more")
    stage.lamson.wait_log("kept", "its token was used before")
    stage.write(ZED, second)
    sink.wait(where=lambda one: one.message["Subject"] == "Released two: Post two")
    stage.postfix.wait_empty()
    assert not [one for one in sink.messages if b"Undelivered" in one.content], "nothing bounced"
    released = [one for one in sink.messages if "Released" in one.message["Subject"]]
    assert len(released) == 2


def test_the_milter_knows_them_too(
    make_postfix: Callable[..., PostfixInstance], tmp_path: Path, sink: Sink
) -> None:
    service = MilterService(
        "",
        'socket_group="postfix", check_recipients=True',
        handlers=(
            "from lamson import Signed, route, stateless\n"
            '@stateless\n@route("ok-(token)@(host)", token=Signed("release", days=1))\n'
            "def OK(message, token, host): ...\n"
        ),
    )
    settings = service.project / "config/settings.py"
    settings.write_text(settings.read_text().replace('"app.filters"', ""))
    try:
        service.start()
        postfix = make_postfix(
            routes={"test.com": f"lmtp:inet:[127.0.0.1]:{service.port}"},
            incoming={"smtpd_milters": f"unix:{service.socket}"},
        )
        purpose = Signed("release", days=1)
        good = signer(service.project).sign(purpose, "x")
        old = signer(service.project, days_ago=1.1).sign(purpose, "x")
        seen = talk(
            postfix.smtp_port, ZED, *(f"ok-{one}@test.com" for one in (good[::-1], old, good))
        )
        codes = [reply[1:] for reply in seen.replies if reply[0] == "RCPT"]
        assert [code for code, _ in codes] == [550, 550, 250]
        assert codes[0] == codes[1]
        service.wait_log("handled", "handler=app.handlers.OK")
    finally:
        service.remove()


def test_a_table_takes_what_looks_signed_and_lmtp_refuses_it(
    make_stage: Callable[..., Stage], stories_project: Path, tmp_path: Path
) -> None:
    lamson = LamsonService(stories_project, **HELD)
    said = lamson.command("postfix", "maps", "-directory", str(tmp_path / "tables"))
    assert "looks like. Postfix takes a forged or expired one" in said
    stage = make_stage(
        main={
            "relay_recipient_maps": f"regexp:{tmp_path}/tables/recipients",
            "unknown_relay_recipient_reject_code": "550",
        },
        environment=HELD,
    )
    bad = worthless(stage.lamson.project)
    nobody = bad["for nobody"]
    assert send(stage.postfix.smtp_port, ZED, nobody).recipients[nobody][0] == 550
    stage.write(ZED, bad["forged"])
    (bounce,) = stage.sink.wait(to=ZED)
    assert b"5.1.1" in bounce.content
    good = signer(stage.lamson.project).sign(Signed("other", days=1), "payload")
    stage.write(ZED, f"other-{good}@app.test")
    stage.sink.wait(where=lambda one: one.message["Subject"] == "Other payload")
