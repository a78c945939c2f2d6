"""Whatever a message is, what is asked of it takes memory in proportion to its size.

Counted by tracemalloc, so that a megabyte shows it. `tests/security/test_memory_of_mail.py` has a
worker read the same.
"""

from __future__ import annotations

import tracemalloc

import pytest

from lamson.message.request import MailRequest
from lamson.smtp.envelope import Envelope, Recipient
from tests.hostile import KINDS, questions

SIZE = 1 << 18
FIXED = 3 << 20  # for what is read of a header and of HTML, which have bounds of their own

TRANSFER = [kind for kind in KINDS if kind.startswith(("base64", "quoted-printable", "uuencode"))]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_takes_little_beside_itself(kind: str) -> None:
    content = KINDS[kind](SIZE)
    message = MailRequest(content, Envelope("a@b.c", ("d@e.f",)), Recipient("d@e.f"))
    tracemalloc.start()
    try:
        for question, ask in questions(message).items():
            tracemalloc.reset_peak()
            answer = ask()
            after, peak = tracemalloc.get_traced_memory()
            factor = 3 if kind in TRANSFER else 5  # Python widens a text while it decodes it
            if question == "defects":  # which has each content and text made, and gives none
                factor += 3
            assert peak - after <= factor * len(content) + FIXED, question
            assert after <= 12 * len(content) + FIXED, question
            del answer
    finally:
        tracemalloc.stop()
