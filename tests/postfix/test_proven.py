"""A route that wants proof, behind a real Postfix: who is refused, by whom, and who hears of it.

And one that wants no spam, of which our own filter notes what it is.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from lamson.storage.maildir import Maildir
from tests.postfix.instance import PostfixInstance, why_not
from tests.postfix.milter import MilterService, talk
from tests.postfix.sink import Sink
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest.importorskip("milter", reason="pymilter is not installed (pip install '.[milter]')")

pytestmark = [pytest.mark.postfix, pytest.mark.slow]

HANDLERS = """
from lamson import MailRequest, action, log, route, spam_filter, stateless

@route("leave@(host)", proven=True)
@action
@stateless
def LEAVE(message: MailRequest, host: str) -> None:
    log.event("left", message.envelope.id, author=message.author, proof=message.proof)

@route("help@(host)")
@stateless
@spam_filter()
def HELP(message: MailRequest, host: str) -> None:
    log.event("helped", message.envelope.id, subject=message.subject)
"""
FILTERS = """
@filter_recipient("(user)@(host)")
def everybody(mail: Arrival, user: str, host: str) -> Verdict:
    return None

@filter_message("help@(host)", body=False)
def judge(message: FilteredMail, host: str) -> Verdict:
    message.note("spam", message.subject == "PILLS")
"""
OURS = "mx.test.com"
VICTIM = "victim@bank.test"


SPAM = b"From: zed@example.com\r\nSubject: PILLS\r\n\r\nBuy.\r\n"


class Proving:
    """The application, the Postfix in front, and the world."""

    def __init__(self, running: ExitStack) -> None:
        self.sink = running.enter_context(Sink())
        self.lamson = MilterService(FILTERS, handlers=HANDLERS)
        self.lamson.environment["LAMSON_AUTHSERV_ID"] = OURS
        running.callback(self.lamson.remove)
        running.callback(lambda: print(*self.lamson.log_lines(), sep="\n"))
        self.lamson.start()
        self.postfix = running.enter_context(
            PostfixInstance(
                sink_port=self.sink.port,
                routes={"test.com": f"lmtp:inet:[127.0.0.1]:{self.lamson.port}"},
                incoming={"smtpd_milters": f"unix:{self.lamson.socket}"},
            )
        )
        self.kept = Maildir(self.lamson.project / "run/undeliverable")

    def offer(self, sender: str, *results: str, to: str = "leave@test.com") -> str:
        """What the client is told: "" where its mail is taken. From is the victim."""
        fields = "".join(f"Authentication-Results: {one}\r\n" for one in results)
        content = f"{fields}From: {VICTIM}\r\nSubject: I leave\r\n\r\nBye.\r\n".encode()
        return talk(self.postfix.smtp_port, sender, to, content=content).refusal


@pytest.fixture(scope="module")
def proving() -> Iterator[Proving]:
    if reason := why_not():
        pytest.skip(reason)
    with ExitStack() as running:
        yield Proving(running)


def test_the_author_himself_is_taken_at_his_word(proving: Proving) -> None:
    assert proving.offer(VICTIM, f"{OURS}; dkim=pass header.d=bank.test") == ""
    proving.lamson.wait_log("left", f"author={VICTIM}", "proof=dkim")


def test_who_is_not_proven_is_refused_while_connected(proving: Proving) -> None:
    judged = f"{OURS}; dkim=pass header.d=evil.test; dmarc=fail header.from=bank.test"
    forged = f"mx.evil.test; dmarc=pass header.from={VICTIM}"
    assert proving.offer("evil@evil.test", judged, forged) == "DATA: 550 5.7.1"
    assert proving.offer(VICTIM, f"{OURS}; dkim=none") == "DATA: 550 5.7.1"


def test_nobody_gets_the_bounce_of_what_somebody_sent_in_his_name(proving: Proving) -> None:
    """Our server says nothing of DKIM before our milter: the end of data is the last chance."""
    before = proving.kept.count()
    assert proving.offer(VICTIM, f"mx.evil.test; dmarc=pass header.from={VICTIM}") == ""
    proving.lamson.wait_log("kept", "recipient=leave@test.com", "nothing proves its author")
    assert proving.kept.count() == before + 1
    assert proving.sink.to(VICTIM) == []


def test_encoded_words_prove_nobody(proving: Proving) -> None:
    """Neither our name in one, which who removes forged fields may not know, nor a result in the
    address of the envelope, which our server quotes."""
    result = "dmarc=3Dpass_header=2Efrom=3Dbank=2Etest"
    sender = f"=?us-ascii?q?x=3B_{result}=3B_arc=3Dnone_x=2Ey=3Dz?=@evil.test"
    before = proving.kept.count()
    assert proving.offer(sender, f"{OURS}; spf=softfail smtp.mailfrom={sender}") == ""
    forged = "=?us-ascii?q?mx=2Etest=2Ecom?=; dmarc=pass header.from=bank.test"
    assert proving.offer("evil@evil.test", forged) == ""
    wait_for(lambda: proving.kept.count() == before + 2, "both to be kept")
    assert not proving.lamson.log_lines(" left ", "proof=dmarc")


def test_who_wrote_gets_his_bounce(proving: Proving) -> None:
    """SPF says nothing of From, but that the bounce goes back to where the mail came from."""
    assert proving.offer("list@evil.test", f"{OURS}; spf=pass smtp.mailfrom=evil.test") == ""
    (bounce,) = proving.sink.wait(to="list@evil.test")
    assert b"550 5.7.1 This address takes mail only where DMARC or DKIM" in bounce.content.replace(
        b"\r\n    ", b" "
    )
    assert not proving.lamson.log_lines("left", "proof=None")


def test_what_our_filter_notes_as_spam_is_kept_from_the_handler(proving: Proving) -> None:
    """Whatever the stranger says of it himself."""
    port = proving.postfix.smtp_port
    assert talk(port, "zed@example.com", "help@test.com", content=SPAM).queue_id
    ham = SPAM.replace(b"PILLS", b"Help\r\nX-Spam-Flag: YES")
    assert talk(port, "zed@example.com", "help@test.com", content=ham).queue_id
    proving.lamson.wait_log("helped", "subject=Help")
    (line,) = proving.lamson.wait_log("kept", "recipient=help@test.com")
    assert "a filter noted spam" in line
    assert Maildir(proving.lamson.project / "run/spam").count() == 1
    assert len(proving.lamson.log_lines(" helped ")) == 1
