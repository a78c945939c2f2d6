"""What a real Postfix tells filters of a client: SASL, TLS, the service; mail by no network."""

from __future__ import annotations

import json
import shutil
import smtplib
import ssl
from typing import TYPE_CHECKING, Any

import pytest

from tests.postfix.config import HOSTNAME
from tests.postfix.milter import MilterService, talk
from tests.postfix.sasl import PASSWORD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.certificates import Authority
    from tests.postfix.instance import PostfixInstance
    from tests.postfix.sink import Sink

pytest.importorskip("milter", reason="pymilter is not installed (pip install '.[milter]')")

pytestmark = [pytest.mark.postfix, pytest.mark.slow]

FILTERS = """
import json
from dataclasses import asdict

@filter_connection
def connection(client: Connection) -> Verdict:
    client.note("connection", asdict(client.peer))

@filter_sender
def sender(mail: Arrival) -> Verdict:
    mail.note("sender", asdict(mail.peer))
    return Reject("5.7.1", "not you") if mail.sender.startswith("evil") else None

@filter_recipient("bad@(host)")
def not_for_strangers(mail: Arrival, host: str) -> Verdict:
    return None if mail.peer.is_authenticated else Reject("5.7.1", "log in first")

@filter_recipient("(user)@(host)")
def recipient(mail: Arrival, user: str, host: str) -> Verdict:
    mail.note("recipient", [mail.transport, mail.next_hop, mail.queue_id, mail.smtputf8])

@filter_message("(user)@(host)", helo=True)
def message(message: FilteredMail, user: str, host: str) -> Verdict:
    told = {**message.notes, "message": asdict(message.peer), "utf8": message.envelope.smtputf8}
    message.add_header("X-Told", json.dumps(told, ensure_ascii=True))
    return {
        "late": Reject("5.7.1", "not by any way"), "later": Defer("4.7.1", "not yet"),
        "hold": Quarantine("look"),
    }.get(user)
"""


@pytest.fixture
def service() -> Iterator[MilterService]:
    service = MilterService(FILTERS)
    try:
        with service:
            yield service
            print(*service.log_lines(), sep="\n")
    finally:
        service.remove()


def told(sink: Sink, recipient: str = "bad@test.com") -> dict[str, Any]:
    value = sink.wait(to=recipient)[-1].message["X-Told"]
    found = json.loads(str(value))
    assert isinstance(found, dict)
    return found


def test_a_client_that_logs_in_by_tls(
    service: MilterService,
    make_postfix: Callable[..., PostfixInstance],
    sink: Sink,
    authority: Authority,
    sasl: Path,
) -> None:
    certificate, key = authority.issue(HOSTNAME)
    mine, my_key = authority.issue("client.test")
    postfix = make_postfix(
        routes={"test.com": f"smtp:[127.0.0.1]:{sink.port}"},
        incoming={"smtpd_milters": f"unix:{service.socket}"},
        submission={
            "smtpd_milters": f"unix:{service.socket}",
            "milter_macro_daemon_name": "ORIGINATING",
            "smtpd_client_connection_count_limit": "50",
            "smtpd_client_event_limit_exceptions": "",
            "smtpd_tls_security_level": "may",
            "smtpd_tls_cert_file": str(certificate),
            "smtpd_tls_key_file": str(key),
            "smtpd_tls_CAfile": str(authority.certificate),
            "smtpd_tls_ask_ccert": "yes",
            "smtpd_sasl_auth_enable": "yes",
            "smtpd_sasl_path": "smtpd",
            "smtpd_sasl_local_domain": HOSTNAME,
            "smtpd_relay_restrictions": "permit_sasl_authenticated,reject",
        },
    )
    shutil.copytree(sasl, postfix.base / "etc" / "sasl")
    postfix.reload()
    context = ssl.create_default_context(cafile=str(authority.certificate))
    context.load_cert_chain(mine, my_key)
    with smtplib.SMTP(timeout=60, local_hostname="client.test") as client:
        client.connect("127.0.0.1", postfix.submission_port)
        client._host = HOSTNAME  # type: ignore[attr-defined]
        client.starttls(context=context)
        client.login(f"lamson@{HOSTNAME}", PASSWORD)
        client.sendmail(
            "zed@sender.test",
            ["bad@test.com"],
            b"Subject: Hello\r\n\r\nHi.\r\n",
            mail_options=["SMTPUTF8", "BODY=8BITMIME"],
        )
        port = client.sock.getsockname()[1]  # type: ignore[union-attr]
    found = told(sink)
    assert found["utf8"] is True
    early, late = found["connection"], found["message"]
    for peer in (early, found["sender"], late):
        assert (peer["name"], peer["addr"], peer["port"]) == ("", "127.0.0.1", str(port))
        assert (peer["resolve"], peer["source"]) == ("FAIL", "REMOTE")
        assert peer["connections"] >= 1  # who looked whether the port is open may not have gone yet
        assert peer["daemon"] == {
            "name": "ORIGINATING",
            "addr": "127.0.0.1",
            "port": str(postfix.submission_port),
        }
    assert early["sasl"] == {"login": "", "method": "", "author": ""}
    assert late["sasl"] == {"login": f"lamson@{HOSTNAME}", "method": "PLAIN", "author": ""}
    tls = late["tls"]
    assert isinstance(tls, dict)
    assert (tls["version"], tls["bits"]) == ("TLSv1.3", 256)
    assert "client.test" in tls["subject"]
    assert (late["helo"], late["proto"]) == ("client.test", "ESMTP")
    assert found["recipient"] == ["smtp", f"[127.0.0.1]:{sink.port}", "", True]
    assert found["sender"]["sasl"] == late["sasl"]
    service.wait_log("filtered", "verdict=accepted", f"login=lamson@{HOSTNAME}")
    seen = talk(postfix.smtp_port, "zed@sender.test", "bad@test.com")
    assert seen.refusal == "RCPT: 550 5.7.1", "who has not logged in"
    service.wait_log("refused id=NOQUEUE stage=recipient", "filter=app.filters.not_for_strangers")


def test_mail_that_comes_by_no_network(
    service: MilterService, make_postfix: Callable[..., PostfixInstance], sink: Sink
) -> None:
    """A verdict at RCPT would leave it in Postfix's maildrop for ever: it is one at the end."""
    postfix = make_postfix(
        routes={"test.com": f"smtp:[127.0.0.1]:{sink.port}"},
        main={"non_smtpd_milters": f"unix:{service.socket}"},
    )

    def send(*users: str, sender: str = "zed@test.com") -> None:
        people = [f"{user}@test.com" for user in users]
        postfix.run("sendmail", "-f", sender, *people, stdin=b"Subject: Hello\n\nHi.\n")

    send("one", "bad")
    peer = told(sink, "one@test.com")["message"]
    assert (peer["name"], peer["addr"], peer["source"]) == ("localhost", "127.0.0.1", "LOCAL")
    service.wait_log("removed", "recipient=bad@test.com", "not_for_strangers")
    send("bad")
    (bounce,) = sink.wait(to="zed@test.com")
    assert "log in first" in bounce.content.decode()
    assert not sink.to("bad@test.com")
    send("one", sender="evil@test.com")
    (bounce,) = sink.wait(to="evil@test.com")
    assert "not you" in bounce.content.decode()
    assert len(sink.to("one@test.com")) == 1
    postfix.wait_empty()
    send("hold")
    postfix.wait_log("milter-hold")
    send("later")  # pickup(8) tries again at each of its wake-ups
    postfix.wait_log("pickup", "uid=", count=5)
    service.wait_log("verdict=deferred", count=2)
