"""What it costs to read two fields of a message, and to compose a short answer.

Beside the standard library's `email` package, with its newest policy, doing the same. Times are in
microseconds of CPU, the best of several rounds that take turns.
"""

from __future__ import annotations

import time
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import TYPE_CHECKING

from lamson.message.request import MailRequest
from lamson.message.response import MailResponse
from lamson.smtp.envelope import Envelope, Recipient

if TYPE_CHECKING:
    from collections.abc import Callable

READING = "two fields of 4 KiB"
COMPOSING = "a short answer"
_SENDER, _RECIPIENT = "zed@example.com", "users@app.test"
_TEXT = "Thank you, we have your mail.\n"
_CONTENT = (
    b"Received: from mail.example.com by mx.app.test with ESMTP id 4Qz9; "
    b"Sat, 28 Nov 2026 10:00:00 +0000\r\n"
    * 6
    + b"From: Zed <zed@example.com>\r\nTo: users@app.test\r\nSubject: Hello there\r\n"
    b"Message-ID: <a1@example.com>\r\nDate: Sat, 28 Nov 2026 10:00:00 +0000\r\n\r\n"
    + b"A line of text that says something.\r\n"
    * 94
)


def measure() -> dict[tuple[str, str], float]:
    """Microseconds, by what was done and who did it: "lamson" or "email"."""
    works = {
        (READING, "lamson"): _read,
        (READING, "email"): _read_by_email,
        (COMPOSING, "lamson"): _compose,
        (COMPOSING, "email"): _compose_by_email,
    }
    rounds = [{key: _cost(work) for key, work in works.items()} for _ in range(7)]
    return {key: min(one[key] for one in rounds) for key in works}


def _cost(work: Callable[[], object], times: int = 300) -> float:
    began = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - began) / times * 1e6


def _read() -> object:
    envelope = Envelope(_SENDER, (_RECIPIENT,))
    message = MailRequest(_CONTENT, envelope, Recipient(_RECIPIENT))
    return message["Subject"], message["From"]


def _read_by_email() -> object:
    message = message_from_bytes(_CONTENT, policy=policy.default)
    return message["Subject"], message["From"]


def _compose() -> bytes:
    answer = MailResponse(to=_SENDER, sender=_RECIPIENT, subject="Re: Hello", body=_TEXT)
    return answer.to_bytes()


def _compose_by_email() -> bytes:
    answer = EmailMessage(policy=policy.SMTP)
    answer["To"], answer["From"], answer["Subject"] = _SENDER, _RECIPIENT, "Re: Hello"
    answer.set_content(_TEXT)
    return answer.as_bytes()
