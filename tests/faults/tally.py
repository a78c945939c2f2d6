"""The count: what was sent, what the handlers left in the database, what the world was told."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.faults import load
from tests.faults.chain import overtaken, strayed, taken_at

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from tests.faults.chain import Row
    from tests.postfix.sink import Delivered

Effect = tuple[str, str]  # the id of a message, one of its recipients
Told = tuple[str, str, str]  # and the token that one run of the handler made up

# What the Postfix on the way puts on top, anew each time.
_OF_POSTFIX = re.compile(rb"(?im)^(?:Received|Return-Path):[^\n]*\n(?:[ \t][^\n]*\n)*")


@dataclass
class Tally:
    """What one run came to. Everything counts recipients, not messages, unless it says so."""

    messages: int
    lost: set[Effect]
    duplicated: Counter[Effect]  # how often too many
    unknown: set[Effect]  # handled but never sent
    unanswered: set[Effect]  # handled, and the reply never came out
    contradictions: int  # replies that have the same Message-ID and differ, or the other way round
    strange: int  # replies whose token is in no row: what was told is not what was committed
    resent: int  # replies that came out again with the same Message-ID
    strayed: set[str]  # ids of messages whose author is in another state than their number tells
    overtaken: set[Effect]  # whose reply left after that of a later row
    bounces: int

    @property
    def is_clean(self) -> bool:
        """True where each effect is there exactly once, and its reply came out."""
        return not (
            self.lost
            or self.duplicated
            or self.unknown
            or self.unanswered
            or self.contradictions
            or self.strange
            or self.strayed
            or self.overtaken
            or self.bounces
        )

    def broken(self) -> set[str]:
        """The ids of messages that something went wrong with."""
        pairs = {
            *self.lost,
            *self.duplicated,
            *self.unknown,
            *self.unanswered,
            *self.overtaken,
        }
        return {message for message, _ in pairs} | self.strayed

    def __str__(self) -> str:
        return (
            f"{self.messages} messages, {len(self.lost)} lost, {self.duplicated.total()} "
            f"duplicated, {len(self.unanswered)} unanswered, {len(self.unknown)} unknown, "
            f"{self.contradictions} contradictions, {self.strange} strange, "
            f"{len(self.strayed)} strayed, {len(self.overtaken)} overtaken, "
            f"{self.bounces} bounces, {self.resent} resent"
        )


def count(
    numbers: Collection[int],
    rows: Collection[Row],
    states: Iterable[tuple[str, str]],
    arrived: Iterable[Delivered],
    others: Collection[Effect] = (),
    *,
    is_tracked: bool = False,
) -> Tally:
    """Compare the ``numbers`` of the messages sent with the ``rows`` and what ``arrived``.

    ``rows`` are in order; ``states`` are those of all authors. ``others`` are deliveries that were
    not sent through Postfix, and are to be handled too. Where replies are tracked, a row without a
    token says what became of one: there has to be one for each reply.
    """
    sent = {(load.name(number), to) for number in numbers for to in load.recipients(number)}
    sent.update(others)
    ran = Counter((row.message, row.recipient) for row in rows if row.token)
    became = [(row.message, f"reply-of-{row.recipient}") for row in rows if not row.token]
    handled = ran + Counter(became)
    if is_tracked:
        sent.update([(message, f"reply-of-{to}") for message, to in sent])
    authors = strayed(rows, states)
    replies: Counter[tuple[str, Effect]] = Counter()
    contents: defaultdict[str, set[bytes]] = defaultdict(set)  # by Message-ID
    told: set[Told] = set()
    first: dict[str, int] = {}  # when Postfix took the reply with a token
    bounces = 0
    for mail in arrived:
        message = mail.message
        if message["Auto-Submitted"] == "auto-replied" or message["From"].endswith(load.DOMAIN):
            identity, recipient = str(message["Subject"]).split()
            replies[str(message["Message-ID"]), (identity, recipient)] += 1
            contents[str(message["Message-ID"])].add(_OF_POSTFIX.sub(b"", mail.content))
            token = mail.body.decode("ascii").split()[-1]
            told.add((identity, recipient, token))
            at = taken_at([str(field) for field in message.get_all("Received", [])])
            first[token] = min(at, first.get(token, at))
        else:
            bounces += 1
    message_ids = {message_id for message_id, _ in replies}
    answered = {effect for _, effect in replies}
    return Tally(
        messages=len(numbers),
        lost=sent - handled.keys(),
        duplicated=handled - Counter(handled.keys()),
        unknown=handled.keys() - sent,
        unanswered=ran.keys() - answered,
        contradictions=(
            abs(len(message_ids) - len(answered))
            + abs(len(message_ids) - len(replies))
            + sum(len(different) - 1 for different in contents.values())
        ),
        strange=len(told - {(row.message, row.recipient, row.token) for row in rows}),
        strayed={row.message for row in rows if row.author in authors} or authors,
        overtaken={(row.message, row.recipient) for row in overtaken(rows, first)},
        resent=replies.total() - len(replies),
        bounces=bounces,
    )
