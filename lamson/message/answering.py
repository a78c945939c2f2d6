"""What an answer takes over from the message that it answers: its subject and its thread.

For `Delivery.reply`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lamson.message import message_ids

if TYPE_CHECKING:
    from lamson.message.request import MailRequest

MAX_REFERENCES = 4000  # octets; beyond them the ids in the middle are left out
_MAX_SUBJECT = 900  # characters

# "Re:" as mail programs say it in other languages; with a number, as some count.
_ANSWER = re.compile(
    r"(?:re|rép|aw|antw\.?|antwort|sv|vs|ang|vedr\.?|rif|r|res|odp|bls|ynt|atb|vá|αντ\.?|απ\.?|σχετ\.?"
    r"|отв|ответ|回复|回覆|答复|答覆|返信|회신|رد|תגובה|השב)"
    r"(?: ?\[\d{1,3}\]| ?\(\d{1,3}\)|\^\d{1,3})? ?[:\uff1a] *",
    re.IGNORECASE,
)


def subject_of_answer(subject: str) -> str:
    """ "Re: " and the subject, whatever the answers before said in its place."""
    text = one_line(subject)
    rest = text
    while found := _ANSWER.match(rest):
        rest = rest[found.end() :]
    return text if text.lower() == f"re: {rest.lower()}" else f"Re: {rest}"


def fields_of_answer(message: MailRequest) -> dict[str, str]:
    """In-Reply-To and References; {} where the message has no id."""
    own = message_ids.writable(message.raw_header("Message-ID"))
    if not own:
        return {}
    # RFC 5322 section 3.6.4: where there are no references, its own parent is one.
    before = message_ids.writable(message.raw_header("References"))
    if not before:
        parents = message_ids.writable(message.raw_header("In-Reply-To"))
        before = parents if len(parents) == 1 else []
    ids = [one for one in before if one != own[0]]
    return {"In-Reply-To": own[0], "References": " ".join(fewer_references([*ids, own[0]]))}


def fewer_references(ids: list[str]) -> list[str]:
    """The first id, and of the others the newest that there is room for."""
    octets = sum(len(one) + 1 for one in ids) - 1
    cut = 1
    while octets > MAX_REFERENCES and cut < len(ids) - 1:
        octets -= len(ids[cut]) + 1
        cut += 1
    return ids[:1] + ids[cut:]


def one_line(value: str) -> str:
    """A header value of a stranger's message, made safe to stand in one of ours."""
    return " ".join(value.replace("\0", " ").split())[:_MAX_SUBJECT]
