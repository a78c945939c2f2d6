"""Our milter behind a real Postfix: edits, notes, several recipients, two milters, and stopping."""

from __future__ import annotations

import os
import re
import signal
import smtplib
import sys
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from lamson.testing import Mailroom
from tests.milter.projects import HANDLERS
from tests.postfix.milter import MilterService, talk
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.postfix.instance import PostfixInstance
    from tests.postfix.sink import Delivered, Sink

pytest.importorskip("milter", reason="pymilter is not installed (pip install '.[milter]')")

pytestmark = [pytest.mark.postfix, pytest.mark.slow]

LETTER = (
    b"From: zed@sender.test\r\nSubject: Hello\r\nX-Tag: one\r\nX-Tag: two\r\nX-Tag: three\r\n"
    b"\r\nHi there.\r\n"
)


@pytest.fixture
def make_service() -> Iterator[Callable[..., MilterService]]:
    with ExitStack() as running:

        def make(filters: str, *arguments: str, **options: str) -> MilterService:
            service = MilterService(filters, *arguments, **options)
            running.callback(lambda: print("\n".join(service.log_lines())))
            running.callback(service.remove)
            return service

        yield make


Stage = tuple["MilterService", "PostfixInstance"]


@pytest.fixture
def stage(
    make_service: Callable[..., MilterService],
    make_postfix: Callable[..., PostfixInstance],
    sink: Sink,
) -> Callable[..., Stage]:
    """``stage(filters)`` is a running service and the Postfix before it; mail goes to the sink.

    ``first`` is another service, whose milter is asked first.
    """

    def make(
        filters: str,
        *arguments: str,
        to: str = "sink",
        first: MilterService | None = None,
        handlers: str = HANDLERS,
        **options: Any,
    ) -> Stage:
        service = make_service(filters, *arguments, handlers=handlers).start()
        sockets = [f"unix:{one.socket}" for one in (first, service) if one is not None]
        options.setdefault("incoming", {"smtpd_milters": ", ".join(sockets)})
        world = f"smtp:[127.0.0.1]:{sink.port}"
        lmtp = f"lmtp:inet:[127.0.0.1]:{service.port}"
        return service, make_postfix(
            routes={"test.com": lmtp if to == "lmtp" else world},
            **options,
        )

    return make


def arrived(sink: Sink, recipient: str = "one@test.com") -> Delivered:
    return sink.wait(to=recipient)[-1]


def test_edits_arrive_as_recorded(stage: Callable[..., Stage], sink: Sink) -> None:
    _, postfix = stage("""
@filter_message("(user)@(host)")
def edit(message: FilteredMail, user: str, host: str) -> Verdict:
    message.insert_header("X-First", "Grüße")
    message.delete_header("X-Tag", 1)
    message.change_header("X-Tag", "TWO", 2)
    message.delete_header("X-Tag", 3)
    message.add_header("X-Tag", "four")
    message.add_header("X-Long", "word " * 40)
    message.replace_body("New body\\n")
    message.remove_recipient()
    message.add_recipient("two@test.com", "NOTIFY=NEVER")
    message.add_recipient("three@test.com")
    message.change_sender("other@sender.test")
    """)
    seen = talk(postfix.smtp_port, "zed@sender.test", "one@test.com", content=LETTER)
    assert seen.queue_id
    message = arrived(sink, "two@test.com")
    assert message.sender == "other@sender.test"
    assert arrived(sink, "three@test.com")
    assert not sink.to("one@test.com")
    parsed = message.message
    assert parsed.get_all("X-Tag") == ["TWO", "four"]
    assert parsed["X-First"] == "Grüße"
    assert parsed["X-Long"].split() == ["word"] * 40
    assert parsed["Subject"] == "Hello"
    assert message.body == b"New body\r\n"


def test_fields_stand_where_a_test_of_the_filter_sees_them(
    stage: Callable[..., Stage], sink: Sink, tmp_path: Path
) -> None:
    """Postfix's own Received field is on top, and no filter sees it."""
    filters = """
@filter_message("(user)@(host)")
def edit(message: FilteredMail, user: str, host: str) -> Verdict:
    message.note("top", user)
    message.insert_header("X-A", "above From", 0)
    message.insert_header("X-B", "above X-A", 0)
    message.insert_header("X-C", "below X-B", 1)
    message.insert_header("X-D", "below From", 4)
    message.insert_header("X-E", "at the end", 99)
    message.change_header("X-Tag", "", 1)
    message.change_header("x-tag", "two", 2)
    message.add_header("X-F", "")
    """
    service, postfix = stage(filters)
    forged = b"X-Lamson-Notes: forged\r\n" + LETTER
    assert talk(postfix.smtp_port, "z@sender.test", "one@test.com", content=forged).queue_id
    queued = [(name, value) for name, value in arrived(sink).message.items() if name != "Received"]
    mailroom = Mailroom(service.project, tmp_path / "run")
    try:
        offered = mailroom.offer("z@sender.test", ["one@test.com"], forged).queued
        assert offered is not None
        expected = offered.message.items()
    finally:
        mailroom.close()
        for name in [name for name in sys.modules if name.partition(".")[0] == "app"]:
            del sys.modules[name]
    names = [name for name, _ in queued]
    assert names == [name for name, _ in expected]
    assert queued[1:] == expected[1:], "but for the notes, which hold the time"
    assert names[:6] == ["X-Lamson-Notes", "X-B", "X-C", "X-A", "From", "X-D"]
    assert ("X-Tag", "") in queued
    assert ("x-tag", "two") in queued


def test_many_recipients_with_different_verdicts(stage: Callable[..., Stage], sink: Sink) -> None:
    service, postfix = stage("""
@filter_recipient("early@test.com")
def early(mail: Arrival) -> Verdict:
    return Reject("5.7.1", "not you")

@filter_message("(user)@(host)")
def late(message: FilteredMail, user: str, host: str) -> Verdict:
    message.add_header("X-Ran", user if user == "late" else "anybody")
    return {"late": Reject("5.7.1", "too late"), "drop": Discard}.get(user)
    """)
    people = ("one@test.com", "early@test.com", "late@test.com", "drop@test.com", "two@test.com")
    seen = talk(postfix.smtp_port, "zed@sender.test", *people, content=LETTER)
    assert [code for command, code, _ in seen.replies if command == "RCPT"] == [
        250,
        550,
        250,
        250,
        250,
    ]
    assert seen.queue_id
    assert arrived(sink, "one@test.com").message.get_all("X-Ran") == ["anybody"]
    assert arrived(sink, "two@test.com")
    service.wait_log("removed", "recipient=late@test.com", "5.7.1")
    service.wait_log("removed", "recipient=drop@test.com")
    postfix.wait_empty()
    assert not sink.to("late@test.com")
    assert not sink.to("drop@test.com")
    assert not sink.to("zed@sender.test"), "no bounce"
    seen = talk(postfix.smtp_port, "zed@sender.test", "late@test.com", content=LETTER)
    assert seen.refusal == "DATA: 550 5.7.1"


@pytest.mark.parametrize(
    "written",
    [
        "<@relay.test:members@test.com>",
        "members@test.com",
        "<members@test.com (a comment)>",
        "<members(a comment)@test.com>",
        "< members@test.com >",
        "<members @test.com>",
        "<All of them <members@test.com>>",
        "<members@test.com.>",
        '<"members"@test.com>',
        "<Members(twice)@test.com> <members@TEST.com> <test.com!members>",
        "<test.com!members>",
    ],
)
def test_no_way_to_write_an_address_gets_past_its_filters(
    written: str, stage: Callable[..., Stage], sink: Sink
) -> None:
    """Postfix takes more than RFC 5321 allows, and delivers to what it reads in that."""
    _, postfix = stage("""
@filter_sender
def sender(mail: Arrival) -> Verdict:
    return None if mail.sender == "zed@sender.test" else Reject("5.7.1", mail.sender)

@filter_recipient("early-members@(host)")
def early(mail: Arrival, host: str) -> Verdict:
    return Reject("5.7.1", "members only")

@filter_message("members@(host)")
def late(message: FilteredMail, host: str) -> Verdict:
    return Reject("5.7.1", "members only")

@filter_message("(user)@(host)")
def show(message: FilteredMail, user: str, host: str) -> Verdict:
    message.add_header("X-User", user)
    """)
    paths = re.findall(r"<.*?>+|^[^<]*$", written)
    early = re.sub("members", "early-members", paths[0], count=1, flags=re.IGNORECASE)
    with smtplib.SMTP("127.0.0.1", postfix.smtp_port, "client.test", timeout=60) as client:
        client.ehlo()
        assert client.docmd("MAIL", "FROM:<zed(a comment)@sender.test>")[0] == 250
        assert client.docmd("RCPT", f"TO:{early}")[0] == 550
        for path in (*paths, "<One-aB@test.com>"):
            assert client.docmd("RCPT", f"TO:{path}")[0] == 250
        assert client.data(LETTER)[0] == 250
    postfix.wait_empty()
    (message,) = sink.wait()
    assert message.recipients == ("One-aB@test.com",)
    assert message.message.get_all("X-User") == ["One-aB"], "Postfix tells it in lower case"


def test_notes_reach_the_handler_and_nobody_can_forge_them(stage: Callable[..., Stage]) -> None:
    service, postfix = stage(
        """
@filter_sender
def sender(mail: Arrival) -> Verdict:
    mail.note("sender", mail.sender)

@filter_message("(user)@(host)", body=False)
def note(message: FilteredMail, user: str, host: str) -> Verdict:
    if user != "plain":
        message.note("user", user)
    """,
        to="lmtp",
    )
    forged = b"X-Lamson-Notes: 1 9999999999 abc e30=\r\n" * 2 + LETTER
    seen = talk(
        postfix.smtp_port, "zed@sender.test", "one@test.com", "plain@test.com", content=forged
    )
    told = service.wait_log("told", seen.queue_id, count=2)
    by_name = {line.split("recipient=")[1].split()[0]: line for line in told}
    assert "notes=sender:zed@sender.test,user:one" in by_name["one@test.com"]
    assert by_name["plain@test.com"].endswith("notes=sender:zed@sender.test")


def test_notes_for_hundreds_of_recipients_reach_each(stage: Callable[..., Stage]) -> None:
    service, postfix = stage(
        """
@filter_message("(user)@(host)", body=False)
def note(message: FilteredMail, user: str, host: str) -> Verdict:
    message.note("user", user)
    message.note("long", "y" * 500)
    """,
        to="lmtp",
        handlers=HANDLERS.replace('notes = ","', 'notes = str(len(message["Subject"])) + ","'),
    )
    people = [f"u{number}@test.com" for number in range(200)]
    seen = talk(postfix.smtp_port, "zed@sender.test", *people, content=LETTER)
    told = service.wait_log("told", seen.queue_id, count=len(people))
    for line in told:
        user = line.split("recipient=")[1].split("@")[0]
        assert f"user:{user},long:yyy" in line
    postfix.wait_empty()


def test_the_built_in_recipient_check(stage: Callable[..., Stage]) -> None:
    _, postfix = stage(
        """
@filter_message("(user)@(host)", body=False)
def nothing(message: FilteredMail, user: str, host: str) -> Verdict:
    return None
    """,
        'socket_group="postfix", check_recipients=True',
        handlers=HANDLERS.replace('"(user)@(host)"', '"(user)@(host)", user="one"'),
        main={"relay_domains": "test.com elsewhere.test"},
    )
    seen = talk(postfix.smtp_port, "z@sender.test", "nobody@elsewhere.test", "one@test.com")
    assert [code for command, code, _ in seen.replies if command == "RCPT"] == [250, 250]
    seen = talk(postfix.smtp_port, "z@sender.test", "nobody@test.com")
    assert seen.refusal == "RCPT: 550 5.1.1"


def test_what_fails_is_logged_with_the_queue_id(stage: Callable[..., Stage]) -> None:
    service, postfix = stage("""
@filter_recipient("(user)@(host)")
def early(mail: Arrival, user: str, host: str) -> Verdict:
    if user == "early":
        raise SystemExit("early")

@filter_message("(user)@(host)", body=False)
def late(message: FilteredMail, user: str, host: str) -> Verdict:
    if user == "late":
        raise GeneratorExit("late")
    """)
    seen = talk(postfix.smtp_port, "z@sender.test", "one@test.com", "early@test.com")
    assert [code for command, code, _ in seen.replies if command == "RCPT"] == [250, 451]
    service.wait_log(f"id={seen.queue_id}: filter app.filters.early failed: SystemExit('early')")
    service.wait_log(f"refused id={seen.queue_id}", "recipient=<early@test.com>")
    with smtplib.SMTP("127.0.0.1", postfix.smtp_port, "client.test", timeout=60) as client:
        client.sendmail("z@sender.test", ["one@test.com"], LETTER)
        client.docmd("MAIL", "FROM:<z@sender.test>")
        assert client.docmd("RCPT", "TO:<early@test.com>")[0] == 451
    service.wait_log("refused id=NOQUEUE", "recipient=<early@test.com>")
    seen = talk(postfix.smtp_port, "z@sender.test", "late@test.com")
    assert seen.refusal == "DATA: 451 4.3.0"
    assert re.search(r" id=\w{10,}: filter app.filters.late failed", "\n".join(service.log_lines()))


def test_octets_that_are_not_utf8_are_data(stage: Callable[..., Stage], sink: Sink) -> None:
    _, postfix = stage(
        """
@filter_message("(user)@(host)", helo=True)
def look(message: FilteredMail, user: str, host: str) -> Verdict:
    message.add_header("X-Saw", f"{message['Subject']!r} {message.peer.helo} {message.peer.addr}")
    """,
        main={"smtputf8_enable": "no"},
    )
    letter = b"Subject: caf\xe9 \xff\r\nX-\xe9: y\r\n\r\nb\xe9\r\n"
    assert talk(postfix.smtp_port, "zed@sender.test", "one@test.com", content=letter).queue_id
    message = arrived(sink)
    assert b"Subject: caf\xe9 \xff\r\n" in message.content
    assert "client.test 127.0.0.1" in message.message["X-Saw"]
    assert "caf" in message.message["X-Saw"]


def test_two_milters_in_a_row(
    make_service: Callable[..., MilterService], stage: Callable[..., Stage], sink: Sink
) -> None:
    first = make_service("""
@filter_message("(user)@(host)", body=False)
def first(message: FilteredMail, user: str, host: str) -> Verdict:
    message.add_header("X-Tag", "first")
    """).start()
    _, postfix = stage(
        """
@filter_message("(user)@(host)", body=False)
def second(message: FilteredMail, user: str, host: str) -> Verdict:
    message.add_header("X-Saw", ",".join(message.get_all("X-Tag")))
    message.delete_header("X-Tag", 4)
    return Reject("5.7.1", "the second one") if user == "bad" else None
    """,
        first=first,
    )
    assert talk(postfix.smtp_port, "z@sender.test", "one@test.com", content=LETTER).queue_id
    parsed = arrived(sink).message
    assert parsed["X-Saw"] == "one,two,three,first"
    assert parsed.get_all("X-Tag") == ["one", "two", "three"]
    seen = talk(postfix.smtp_port, "z@sender.test", "bad@test.com", content=LETTER)
    assert seen.refusal == "DATA: 550 5.7.1"


@pytest.mark.parametrize(
    ("action", "saw"), [("tempfail", "MAIL: 451 4.7.1"), ("accept", ""), ("reject", "CONNECT: 554")]
)
def test_the_milter_stopped(stage: Callable[..., Stage], sink: Sink, action: str, saw: str) -> None:
    service, postfix = stage(
        """
@filter_message("(user)@(host)", body=False)
def tag(message: FilteredMail, user: str, host: str) -> Verdict:
    message.add_header("X-Filtered", "yes")
    """,
        main={"milter_default_action": action},
    )
    assert talk(postfix.smtp_port, "z@sender.test", "one@test.com").queue_id
    assert arrived(sink).message["X-Filtered"] == "yes"
    sink.messages.clear()
    service.stop()
    seen = talk(postfix.smtp_port, "z@sender.test", "one@test.com")
    assert seen.refusal.startswith(saw), seen
    if action == "accept":
        assert arrived(sink).message["X-Filtered"] is None
    sink.messages.clear()
    service.start()
    assert talk(postfix.smtp_port, "z@sender.test", "one@test.com").queue_id
    assert arrived(sink).message["X-Filtered"] == "yes"


@pytest.mark.parametrize("sent", [signal.SIGHUP, signal.SIGTERM])
def test_a_message_under_way_gets_its_answer(
    stage: Callable[..., Stage], sink: Sink, sent: signal.Signals
) -> None:
    service, postfix = stage("""
import time
from pathlib import Path

@filter_message("(user)@(host)", body=False)
def slow(message: FilteredMail, user: str, host: str) -> Verdict:
    Path("waiting").touch()
    while not Path("go").exists():
        time.sleep(0.01)
    message.add_header("X-Filtered", "yes")
    """)
    seen: list[Any] = []
    thread = threading.Thread(
        target=lambda: seen.append(talk(postfix.smtp_port, "z@sender.test", "one@test.com"))
    )
    thread.start()
    wait_for((service.project / "waiting").exists, "the filter runs")
    os.kill(service.pid, sent)
    reloading = sent == signal.SIGHUP
    service.wait_log("reloaded: every worker was replaced" if reloading else "stopping: finishing")
    (service.project / "go").touch()
    thread.join(30)
    assert seen[0].queue_id
    service.stop()
    assert arrived(sink).message["X-Filtered"] == "yes"
