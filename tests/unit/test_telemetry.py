"""Spans of OpenTelemetry: in one process, by the SDK's own exporter."""

from __future__ import annotations

import asyncio
import builtins
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from lamson import telemetry
from lamson.errors import SettingsError
from lamson.message.lineage import root_of
from lamson.message.message import Message
from lamson.relay.attempt import Attempts
from lamson.relay.submission import Outcome, SubmitterDown
from lamson.smtp.envelope import Envelope, Recipient
from lamson.storage.maildir import Maildir
from lamson.storage.outgoing import Outgoing
from lamson.testing import Conversation
from lamson_milter.rules import Asking
from lamson_milter.subjects import FilteredMail
from tests.unit.milter.support import make_filters
from tests.unit.support import make_mailroom, make_message

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lamson.smtp.reply import Reply
    from lamson.testing import Mailroom

HANDLERS = """
from lamson import Delivery, MailRequest, route, stateless
from opentelemetry import trace

@route("(user)@test\\\\.com", user="[a-z]+")
@stateless
def ANSWER(message: MailRequest, delivery: Delivery, user: str) -> None:
    with trace.get_tracer("app").start_as_current_span("work of the application"):
        delivery.reply(body="yes")
"""

TIMED = (
    HANDLERS
    + """
from datetime import datetime
from lamson import background, every

@every("1 day", at="06:00")
def tidy(slot: datetime) -> None:
    pass

@background
def fetch(what: str) -> None:
    pass

@route("later@test\\\\.com")
@stateless
def LATER(message: MailRequest, delivery: Delivery) -> None:
    delivery.later(fetch, "it")
"""
)


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    yield exporter
    telemetry.stop()


def row(content: bytes) -> Outgoing:
    return Outgoing(
        "4Qz",
        "<answer@test.com>",
        "a@test.com",
        ("zed@example.com",),
        content,
        lease_until=time.time() + 1000,
        envid="abc",
    )


class Submitting:
    """A server that takes mail, or is not there."""

    def __init__(self, *, is_there: bool = True) -> None:
        self._is_there = is_there

    async def submit(self, row: Outgoing) -> Outcome:
        if not self._is_there:
            raise SubmitterDown("nobody")
        return Outcome([], "250 2.0.0 Ok: queued as 4X")


async def deliver(mailroom: Mailroom, content: bytes) -> Reply:
    """Through the dispatcher, as the LMTP server does it."""
    dispatcher = mailroom.application.dispatcher
    dispatcher.start(asyncio.get_running_loop())
    answered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
    dispatcher.deliver(
        Envelope("zed@example.com", ("desk@test.com",), id="4Qz"),
        content,
        [dispatcher.route("desk@test.com")],
        lambda index, reply: answered.set_result(reply),
    )
    try:
        return await answered
    finally:
        dispatcher.stop()


def test_a_conversation_is_one_trace(
    spans: InMemorySpanExporter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailroom = make_mailroom(tmp_path, monkeypatch, HANDLERS, tracing=True)
    try:
        mail = b"From: zed@example.com\r\nMessage-ID: <first@example.com>\r\n\r\nx\r\n"
        assert asyncio.run(deliver(mailroom, mail)).code == 250
        outbox = mailroom.application.outbox
        assert outbox is not None
        (sent,) = outbox.all()
        content = outbox.content(sent.id)
        assert content is not None
    finally:
        mailroom.close()
    work, handled, delivered = spans.get_finished_spans()
    assert work.name == "work of the application"
    assert handled.name.startswith("handle handlers_")
    assert handled.name.endswith(".ANSWER")
    assert delivered.name == "deliver"
    assert work.parent is not None
    assert handled.parent is not None
    assert work.parent.span_id == handled.context.span_id
    assert handled.parent.span_id == delivered.context.span_id
    assert delivered.attributes == {
        "lamson.id": "4Qz",
        "lamson.message_id": "<first@example.com>",
        "lamson.recipient": "desk@test.com",
        "lamson.reply": 250,
    }
    asyncio.run(submit(Submitting(), row(content), tmp_path))
    submitted = spans.get_finished_spans()[-1]
    assert submitted.name == "submit"
    assert submitted.attributes is not None
    assert submitted.attributes["lamson.envid"] == "abc"
    assert submitted.context.trace_id == delivered.context.trace_id


async def submit(submitter: Any, row: Outgoing, directory: Path) -> None:
    await Attempts(Maildir(directory / "kept"), 1000.0)._submit(submitter, row)


def test_of_an_exception_its_type_is_told(spans: InMemorySpanExporter) -> None:
    telemetry.start()
    with pytest.raises(RuntimeError), telemetry.within(None, "handle"):
        raise RuntimeError("of a mail")
    (span,) = spans.get_finished_spans()
    assert span.attributes == {"error.type": "RuntimeError"}
    assert (span.events, span.status.description) == ((), None)


def test_an_attempt_that_fails_is_a_span_too(spans: InMemorySpanExporter, tmp_path: Path) -> None:
    telemetry.start()
    with pytest.raises(SubmitterDown):
        asyncio.run(
            submit(Submitting(is_there=False), row(b"Message-ID: <a@b>\r\n\r\nx"), tmp_path)
        )
    (span,) = spans.get_finished_spans()
    assert not span.status.is_ok


class Broken(SpanProcessor):
    """Somebody's own way to bring spans to where they go."""

    def __init__(self, at: str) -> None:
        self._at = at

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        assert self._at != "start", "broken"

    def on_end(self, span: Any) -> None:
        assert self._at != "end", "broken"


@pytest.mark.parametrize("at", ["start", "end"])
def test_what_fails_to_trace_costs_no_mail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, at: str
) -> None:
    """A span that cannot be ended after Postfix took a mail would have it submitted again."""
    provider = TracerProvider()
    provider.add_span_processor(Broken(at))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    untraced = HANDLERS.replace('trace.get_tracer("app").start_as_current_span(', "open(")
    untraced = untraced.replace("work of the application", "/dev/null")
    mailroom = make_mailroom(tmp_path, monkeypatch, untraced, tracing=True)
    try:
        asyncio.run(submit(Submitting(), row(b"Message-ID: <a@b>\r\n\r\nx"), tmp_path))
        mail = b"From: zed@example.com\r\nMessage-ID: <first@example.com>\r\n\r\nx\r\n"
        assert asyncio.run(deliver(mailroom, mail)).code == 250
    finally:
        mailroom.close()
        telemetry.stop()
    assert caplog.text.count("a span is lost") == 1


def test_what_a_conversation_began_with() -> None:
    first = b"Message-ID: <1@b>\r\n\r\nx"
    later = b"Message-ID: <3@b>\r\nIn-Reply-To: <2@b>\r\nReferences: <1@b> <2@b>\r\n\r\nx"
    assert root_of(Message(first)) == root_of(Message(later)) == "<1@b>"
    assert root_of(Message(b"In-Reply-To: <2@b>\r\n\r\nx")) == "<2@b>"
    assert root_of(Message(b"\r\nx")) == ""
    bounce = (
        b"Message-ID: <9@mx>\r\nContent-Type: multipart/report; boundary=b;"
        b" report-type=delivery-status\r\n\r\n--b\r\n\r\nno\r\n"
        b"--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx\r\n\r\n"
        b"Final-Recipient: rfc822; a@b.c\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n"
        b"--b\r\nContent-Type: text/rfc822-headers\r\n\r\n"
        + later.partition(b"\r\n\r\n")[0]
        + b"\r\n\r\n--b--\r\n"
    )
    assert root_of(make_message(bounce, sender="")) == "<1@b>"


def test_what_is_done_by_time_is_in_a_trace_of_its_own(
    spans: InMemorySpanExporter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailroom = make_mailroom(tmp_path, monkeypatch, TIMED, tracing=True)
    try:
        mailroom.wait(days=1)
        Conversation(mailroom, "zed@example.com").say("later@test.com", "x")
        mailroom.wait(days=0)
    finally:
        mailroom.close()
    found = {one.name: one for one in spans.get_finished_spans()}
    assert set(found) >= {"task every", "task later"}
    done = [found["task every"], found["task later"]]
    assert len({one.context.trace_id for one in done}) == 2
    for one in done:
        assert one.attributes is not None
        assert str(one.attributes["lamson.id"]).startswith("task-")
        assert "lamson.task" in one.attributes


def test_a_filter_is_in_the_trace_of_its_message(
    spans: InMemorySpanExporter, tmp_path: Path
) -> None:
    telemetry.start()
    (look,) = make_filters(
        tmp_path, "@filter_message()\ndef look(mail: FilteredMail) -> Verdict: pass\n"
    ).whole
    mail = FilteredMail(b"Message-ID: <1@b>\r\n\r\nx", Envelope(""), Recipient("a@test.com"))
    assert Asking()(look, mail, {}, "4Qz") is None
    (span,) = spans.get_finished_spans()
    assert span.name == f"filter {look}"
    began = telemetry.conversation("<1@b>").get_span_context()
    assert span.context.trace_id == began.trace_id


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def missing(name: str, *rest: Any, **named: Any) -> Any:
        if name == "opentelemetry":
            raise ModuleNotFoundError(name)
        return original(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(SettingsError, match=r"lamson-postfix\[otel\]"):
        telemetry.start()
    assert not telemetry.ACTIVE


def test_without_the_setting_nothing_is_imported() -> None:
    line = "import sys, lamson.app, lamson.relay.relay; print('opentelemetry' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", line], capture_output=True, check=True, text=True)
    assert done.stdout == "False\n"


def test_what_a_stranger_wrote_is_bounded() -> None:
    (kept,) = telemetry._attributes({"message_id": "x" * 100_000}).values()
    assert len(kept) == 1000
