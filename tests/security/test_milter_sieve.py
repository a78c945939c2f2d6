"""The milter is no sieve: what a filter would refuse gets through no real Postfix by tricks."""

from __future__ import annotations

import smtplib
from typing import TYPE_CHECKING

import pytest

from tests.postfix.milter import MilterService, talk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.postfix.instance import PostfixInstance
    from tests.postfix.sink import Sink

pytest.importorskip("milter", reason="pymilter is not installed (pip install '.[milter]')")

pytestmark = [pytest.mark.postfix, pytest.mark.slow]

FILTERS = """
import ctypes

@ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
def compare(one, other):
    return 0

def call_back_from_c():  # as C extensions do, with the interpreter held
    ctypes.PyDLL(None).qsort((ctypes.c_int * 2)(2, 1), 2, 4, compare)

@filter_message("(user)@(host)")
def policy(message: FilteredMail, user: str, host: str) -> Verdict:
    if "evil" in (message["From"] or ""):
        return Reject("5.7.1", "evil")
    if user == "calls":
        call_back_from_c()
    if user == "leaves":
        message.remove_recipient()
    return Reject("5.7.9", "not you") if user == "rej" else None
"""

BEHIND = """
@filter_recipient("ghost@(host)")
def ghost(mail: Arrival, host: str) -> Verdict:
    return Reject("5.1.1", "nobody")
"""

EVIL = b"From: evil@x.test\r\nSubject: Hello\r\n\r\nHi.\r\n"


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[PostfixInstance, Sink]]:
    """A Postfix that asks our milter, and another one behind it that refuses a recipient."""
    from tests.postfix.instance import PostfixInstance, why_not
    from tests.postfix.sink import Sink

    if reason := why_not():
        pytest.skip(reason)
    service, behind = MilterService(FILTERS), MilterService(BEHIND)
    try:
        with Sink() as sink, service, behind:
            postfix = PostfixInstance(
                sink_port=sink.port,
                routes={"test.com": f"smtp:[127.0.0.1]:{sink.port}"},
                incoming={"smtpd_milters": f"unix:{service.socket}, unix:{behind.socket}"},
            )
            with postfix:
                yield postfix, sink
                print(postfix.log_text(), *service.log_lines(), sep="\n")
    finally:
        service.remove()
        behind.remove()


@pytest.mark.parametrize(
    ("above", "reply"),
    [
        (b"a:\r\n" * 9_000, "550 5.7.1"),
        (b"a:\r\n" * 16_500, "552 5.3.4"),
        ((b"a: " + b"x" * 990 + b"\r\n") * 1_100, "552 5.3.4"),
        (b"a:" + b" x\r\n" * 100_000, "550 5.7.1"),
    ],
    ids=["many", "more", "long", "one field"],
)
def test_no_header_hides_what_follows(
    running: tuple[PostfixInstance, Sink], above: bytes, reply: str
) -> None:
    postfix, sink = running
    seen = talk(postfix.smtp_port, "good@x.test", "one@test.com", content=above + EVIL)
    assert seen.refusal == f"DATA: {reply}"
    assert not sink.to("one@test.com")


@pytest.mark.parametrize(
    "users",
    [("rej", "leaves"), ("leaves", "rej"), ("rej", "REJ"), ("REJ", "rej"), ("ghost", "rej")],
    ids=",".join,
)
def test_a_reject_is_never_250_where_nobody_else_gets_the_message(
    running: tuple[PostfixInstance, Sink], users: tuple[str, str]
) -> None:
    postfix, sink = running
    seen = talk(postfix.smtp_port, "good@x.test", *[f"{user}@test.com" for user in users])
    assert seen.replies[-1][0] == "DATA"
    assert seen.replies[-1][1:] == (550, seen.replies[-1][2])
    assert seen.replies[-1][2].startswith("5.7.9")
    assert not sink.messages


def test_no_quick_filter_is_moved_to_threads_that_are_not_ours(
    running: tuple[PostfixInstance, Sink],
) -> None:
    """On libmilter's, C code that calls back into Python would hang the worker for good."""
    postfix, _ = running
    with smtplib.SMTP("127.0.0.1", postfix.smtp_port, "client.test", timeout=60) as client:
        for _ in range(30):
            client.sendmail("good@x.test", ["calls@test.com"], b"Subject: Hello\r\n\r\nHi.\r\n")
