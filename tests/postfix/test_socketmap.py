"""A real smtpd asks the routes: who is not routed is refused at RCPT; and what Postfix asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.postfix.sender import send
from tests.waiting import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.postfix.stage import Stage

MAPS = {
    "domain": "relay_domains",
    "recipient": "relay_recipient_maps",
    "transport": "transport_maps",
}

pytestmark = [pytest.mark.postfix, pytest.mark.slow]


@pytest.fixture
def asking(make_stage: Callable[..., Stage]) -> Callable[..., Stage]:
    """A stage whose Postfix asks for what these maps tell."""

    def make(proxied: bool = False, *, maps: Sequence[str] = tuple(MAPS)) -> Stage:
        port = free_port()
        prefix = "proxy:" if proxied else ""
        socketmap = f"{prefix}socketmap:inet:127.0.0.1:{port}"
        asked = {MAPS[name]: f"{socketmap}:{name}" for name in maps}
        return make_stage(
            main={
                **asked,
                "unknown_relay_recipient_reject_code": "550",
                "recipient_delimiter": "+",
            },
            environment={
                "LAMSON_SOCKETMAP__LISTEN": f"127.0.0.1:{port}",
                "LAMSON_POSTFIX__TRANSPORT": "lmtp",
            },
        )

    return make


@pytest.mark.parametrize("proxied", [False, True])
def test_an_unknown_recipient_is_refused_before_the_data(
    asking: Callable[..., Stage], proxied: bool
) -> None:
    stage = asking(proxied)
    sent = send(
        stage.postfix.smtp_port,
        "zed@sender.test",
        "nobody@app.test",
        "nobody@elsewhere.test",
        "counted-one@app.test",
        "counted-one@APP.test",
        "counted-one+detail@app.test",
    )
    codes = {recipient: reply[0] for recipient, reply in sent.recipients.items()}
    assert codes == {
        "nobody@app.test": 550,
        "nobody@elsewhere.test": 554,
        "counted-one@app.test": 250,
        "counted-one@APP.test": 250,
        "counted-one+detail@app.test": 550,
    }
    assert "5.1.1" in sent.recipients["nobody@app.test"][1]
    stage.sink.wait(to="zed@sender.test")
    stage.settle()
    assert all("Counted" in (m.message["Subject"] or "") for m in stage.sink.messages), "no bounce"


def test_without_an_answer_mail_waits_and_is_not_refused(asking: Callable[..., Stage]) -> None:
    stage = asking(maps=["recipient"])  # trivial-rewrite asks again half a minute later only
    stage.lamson.stop()
    sent = send(stage.postfix.smtp_port, "zed@sender.test", "counted-one@app.test")
    assert sent.recipients["counted-one@app.test"][0] in (451, 454)
    stage.lamson.start()
    sent = send(stage.postfix.smtp_port, "zed@sender.test", "counted-one@app.test")
    assert sent.data[0] == 250
    stage.settle()


def test_a_chrooted_smtpd_sees_the_socket_below_the_queue_directory(
    make_stage: Callable[..., Stage],
) -> None:
    stage = make_stage()
    postfix, lamson = stage.postfix, stage.lamson
    inside, outside = "/lamson-map", f"{postfix.base}/queue/lamson-map"
    lamson.stop()
    lamson.environment["LAMSON_SOCKETMAP__LISTEN"] = f"unix:{outside}"
    lamson.environment["LAMSON_SOCKETMAP__SOCKET_GROUP"] = "postfix"
    lamson.start()
    postfix.run("postconf", "-F", f"127.0.0.1:{postfix.smtp_port}/inet/chroot=y")
    for path, codes in ((outside, [451, 451]), (inside, [250, 550])):
        postfix.stop()
        postfix.run("postconf", f"relay_recipient_maps=socketmap:unix:{path}:recipient")
        postfix.start()
        names = ["counted-one@app.test", "nobody@app.test"]
        sent = send(postfix.smtp_port, "zed@sender.test", *names)
        assert [sent.recipients[name][0] for name in names] == codes, path
    stage.settle()
