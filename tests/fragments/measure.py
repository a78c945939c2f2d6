"""Precision and recall of ours beside three other parsers, on the same texts, in one run.

Each line of the set that says something is looked for in what a parser calls new. Precision: of the
lines that it calls new, how many are; recall: of the new ones, how many it calls so; what is new
and lost is the worst that a parser can do. The others get the text that we make of HTML.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from lamson.message.request import MailRequest
from lamson.smtp.envelope import Envelope, Recipient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.fragments.messages import Message


class Score(NamedTuple):
    """Of one parser: shares between 0 and 1, and the names of messages with something wrong."""

    precision: float
    recall: float
    wrong: list[str]


def request(message: Message) -> MailRequest:
    kind = "html" if message.is_html else "plain"
    raw = (
        f"From: joe@example.org\nSubject: {message.subject}\nMIME-Version: 1.0\n"
        f"Content-Type: text/{kind}; charset=utf-8\n\n{message.source}"
    )
    us = Recipient("us@test.com")
    content = raw.replace("\n", "\r\n").encode()
    return MailRequest(content, Envelope("joe@example.org", (us.address,)), us)


def score(messages: Iterable[Message], new_text: Callable[[MailRequest], str]) -> Score:
    found: Counter[str] = Counter()
    wrong: list[str] = []
    for message in messages:
        # Not the blanks: parsers join lines and cut them.
        text = _bare(new_text(request(message)))
        before = found["lost"], found["taken"]
        lines = {_bare(line): kind for kind, line in message.lines}
        for line, kind in lines.items():
            if kind == "new":
                found["kept" if line in text else "lost"] += 1
            elif line in text:
                found["taken"] += 1
        if (found["lost"], found["taken"]) != before:
            wrong.append(message.name)
    called_new = found["kept"] + found["taken"]
    return Score(
        found["kept"] / called_new if called_new else 1.0,
        found["kept"] / (found["kept"] + found["lost"]),
        wrong,
    )


def kinds(messages: Iterable[Message]) -> dict[str, tuple[float, float]]:
    """Precision and recall of each kind, of ours."""
    right: Counter[str] = Counter()
    given: Counter[str] = Counter()
    wanted: Counter[str] = Counter()
    for message in messages:
        fragments = request(message).fragments
        for kind, line in message.lines:
            holding = [one for one, text in fragments if _bare(line) in _bare(text)]
            got = kind if kind in holding else next(iter(holding), "new")
            wanted[kind] += 1
            given[got] += 1
            right[kind] += got == kind
    return {kind: (right[kind] / given[kind], right[kind] / wanted[kind]) for kind in wanted}


def ours(message: MailRequest) -> str:
    return message.new_text


def others() -> dict[str, Callable[[MailRequest], str]]:
    """The parsers of others that are installed, by name."""
    import quotequail
    from email_reply_parser import EmailReplyParser
    from mailparser_reply import EmailReplyParser as MailParserReply

    languages = ["en", "de", "fr", "es", "it", "nl", "pl", "da", "sv", "cs", "ja", "ko", "zh"]
    known = MailParserReply(languages=languages)

    def by_quotequail(message: MailRequest) -> str:
        return "\n".join(text for is_new, text in quotequail.quote(message.body) if is_new)

    return {
        "mail-parser-reply": lambda message: str(known.parse_reply(text=message.body) or ""),
        "email-reply-parser": lambda message: str(EmailReplyParser.parse_reply(message.body)),
        "quotequail": by_quotequail,
    }


def _bare(text: str) -> str:
    return "".join(text.split())
