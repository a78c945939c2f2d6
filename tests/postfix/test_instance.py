"""The private Postfix itself, proven with Postfix's own smtp-sink as the LMTP server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.postfix.sender import send
from tests.server_process import ServerProcess
from tests.waiting import free_port, listening, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.postfix.instance import PostfixInstance
    from tests.postfix.sink import Sink

pytestmark = [pytest.mark.postfix, pytest.mark.slow]


class LmtpSink:
    """smtp-sink -L: an LMTP server that accepts and counts, or refuses by command name."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.directory = directory / "dumps"
        self.directory.mkdir()
        self._process = ServerProcess("smtp-sink", directory / "output")

    def start(self, *options: str) -> None:
        self._process.start(
            [
                *("smtp-sink", "-L", "-u", "root", "-d", f"{self.directory}/%M.", *options),
                *(f"127.0.0.1:{self.port}", "100"),
            ],
            lambda: listening(self.port),
        )

    def stop(self) -> None:
        self._process.stop()

    def dumps(self) -> list[str]:
        return [path.read_text() for path in sorted(self.directory.iterdir())]


@pytest.fixture
def lmtp(tmp_path: Path) -> Iterator[LmtpSink]:
    lmtp = LmtpSink(tmp_path)
    yield lmtp
    lmtp.stop()


@pytest.fixture
def postfix(make_postfix: Callable[..., PostfixInstance], lmtp: LmtpSink) -> PostfixInstance:
    return make_postfix(routes={"test.com": f"lmtp:inet:[127.0.0.1]:{lmtp.port}"})


def test_mail_comes_in_and_goes_to_lmtp(postfix: PostfixInstance, lmtp: LmtpSink) -> None:
    lmtp.start()
    sent = send(postfix.smtp_port, "zed@sender.test", "one@test.com", "two@test.com")
    assert sent.data[0] == 250
    postfix.wait_empty()
    (dump,) = lmtp.dumps()
    assert "X-Mail-Args: <zed@sender.test>" in dump
    assert "X-Rcpt-Args: <one@test.com>" in dump
    assert "X-Rcpt-Args: <two@test.com>" in dump
    assert sent.queue_id in dump.split("Received:")[2]
    assert len(sent.queue_id) > 14, "a long queue id"


def test_the_world_may_not_relay(postfix: PostfixInstance, sink: Sink) -> None:
    sent = send(postfix.smtp_port, "zed@sender.test", "other@elsewhere.test")
    assert sent.recipients["other@elsewhere.test"][0] == 554
    assert sink.messages == []


def test_what_is_submitted_reaches_the_sink(postfix: PostfixInstance, sink: Sink) -> None:
    body = "Grüße aus Zürich\r\n.\r\n..\r\n"
    sent = send(
        postfix.submission_port,
        "dörte@test.com",
        "jürgen@world.test",
        body=body,
        options="SMTPUTF8 BODY=8BITMIME",
    )
    assert sent.data[0] == 250, sent
    (message,) = sink.wait(to="jürgen@world.test")
    assert message.sender == "dörte@test.com"
    assert message.body == body.encode()
    postfix.wait_empty()


def test_a_refusal_by_lmtp_becomes_a_bounce(
    postfix: PostfixInstance, lmtp: LmtpSink, sink: Sink
) -> None:
    lmtp.start("-f", "rcpt")
    send(postfix.smtp_port, "zed@sender.test", "nobody@test.com")
    (bounce,) = sink.wait(to="zed@sender.test")
    assert bounce.sender == ""
    assert bounce.message.get_content_type() == "multipart/report"
    postfix.wait_empty()


def test_a_closed_port_leaves_it_queued_until_it_opens(
    postfix: PostfixInstance, lmtp: LmtpSink
) -> None:
    sent = send(postfix.smtp_port, "zed@sender.test", "one@test.com")
    postfix.wait_log(sent.queue_id, "status=deferred", "Connection refused")
    (entry,) = postfix.queue()
    assert entry["queue_id"] == sent.queue_id
    assert [recipient["address"] for recipient in entry["recipients"]] == ["one@test.com"]
    lmtp.start()
    postfix.flush()
    postfix.wait_empty()
    assert len(lmtp.dumps()) == 1


def test_the_sink_refuses_as_told(postfix: PostfixInstance, sink: Sink) -> None:
    sink.refuse("later@world.test", "450 4.2.0 Come back later")
    send(postfix.submission_port, "app@test.com", "later@world.test", "now@world.test")
    sink.wait(to="now@world.test")
    postfix.wait_log("to=<later@world.test>", "status=deferred")
    sink.accept("later@world.test")
    postfix.flush()
    sink.wait(to="later@world.test")
    postfix.wait_empty()


def test_mail_from_the_sendmail_command(postfix: PostfixInstance, lmtp: LmtpSink) -> None:
    lmtp.start()
    content = b"Subject: cron\n\nHello\n"
    postfix.run("sendmail", "-f", "root@test.com", "one@test.com", stdin=content)
    wait_for(lmtp.dumps, "the message to arrive")
    postfix.wait_empty()


def test_the_queue_survives_a_restart(postfix: PostfixInstance, lmtp: LmtpSink) -> None:
    sent = send(postfix.smtp_port, "zed@sender.test", "one@test.com")
    postfix.wait_log(sent.queue_id, "status=deferred")
    postfix.stop()
    lmtp.start()
    postfix.start()
    postfix.flush()
    postfix.wait_empty()
    assert len(lmtp.dumps()) == 1


def test_a_changed_route_counts_after_a_reload(postfix: PostfixInstance, lmtp: LmtpSink) -> None:
    lmtp.start()
    postfix.routes["new.test"] = postfix.routes["test.com"]
    postfix.write_config()
    postfix.reload()
    wait_for(
        lambda: send(postfix.smtp_port, "zed@sender.test", "one@new.test").queue_id,
        "Postfix to know the new domain",
    )
    postfix.wait_empty()
    assert len(lmtp.dumps()) == 1
