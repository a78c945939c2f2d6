"""What was said in a conversation, and what came of what: for a test that plays it again.

A correspondent may answer mail that somebody else caused, from an address that was signed for him:
so the mail that caused it belongs to the story, and what that answers, and so on. Only what is
known counts as an answer: by the journal, or else by In-Reply-To. What cannot be told has a word
about what is missing. For any thread.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from lamson.message.message import Message
from lamson.routing import signing
from lamson.smtp import address

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamson.web.mails import Mail, Mails

_MOST = 200  # mails of the conversation
_AROUND = 999  # mails of anybody among which the causes are looked for
_AFTER = 60.0  # seconds in which the last mail was answered
_TOKEN = re.compile(rf"(?<![a-z0-9]){signing.PATTERN}(?![a-z0-9])", re.IGNORECASE)


@dataclass(eq=False)
class Letter:
    """A mail that the application sent."""

    mail: Mail
    content: bytes

    @cached_property
    def message(self) -> Message:
        return Message(self.content)

    def is_from(self, mailbox: str) -> bool:
        """Whether an answer to it goes there."""
        sources = [one.address for one in (self.message.reply_to or self.message.from_)[:1]]
        return [address.normalise(mailbox)] == [address.normalise(one) for one in sources]


@dataclass(eq=False)
class Step:
    """A mail that somebody wrote. ``letters`` came of it, ``is_all`` says whether those are all
    that he got; ``asked`` is what it answers; ``missing`` what is not known, and it needs."""

    mail: Mail
    content: bytes
    letters: list[Letter] = field(default_factory=list)
    is_all: bool = False
    asked: Letter | None = None
    missing: str = ""

    @cached_property
    def message(self) -> Message:
        return Message(self.content)

    @property
    def author(self) -> str:
        return next(iter(self.mail.correspondents), "")

    def letters_to(self, who: str) -> list[Letter]:
        return [one for one in self.letters if is_with(one.mail, who)]


def is_with(mail: Mail, who: str) -> bool:
    """Whether it is from him, or to him."""
    return address.normalise(who) in map(address.normalise, mail.correspondents)


def tell(mails: Mails, who: str) -> list[Step]:
    """The steps, oldest first: those of ``who``, and those that they need. [] where nobody is known
    to have written anything."""
    return _Telling(mails, who).steps()


class _Telling:
    def __init__(self, mails: Mails, who: str) -> None:
        self._mails = mails
        self._who = who
        newest = mails.page(_MOST, correspondent=who).mails
        last = newest[0].place._replace(at=newest[0].at + _AFTER, id="") if newest else None
        around = mails.page(_AROUND, before=last).mails
        found = {mail.id: mail for mail in (*newest, *around)}
        # What lies in the queue of the undeliverable stands there as it came, too.
        known = [one for one in found.values() if not one.is_undeliverable or one.sent is not None]
        self._all = sorted(known, key=lambda one: one.place)
        self._cause: dict[str, Mail] = {}  # by the id of what came of it
        self._by_message_id: dict[str, Mail] = {}  # what was sent
        self._steps: dict[str, Step] = {}
        self._letters: dict[str, Letter] = {}
        self._link()

    def _link(self) -> None:
        came = {one.message_id: one for one in self._all if one.direction == "in"}
        for mail in self._all:
            if mail.direction == "in":
                self._cause.update(dict.fromkeys(mail.sent or (), mail))
        for mail in self._all:
            if mail.direction == "out":
                self._by_message_id.setdefault(mail.message_id, mail)
                cause = came.get(mail.in_reply_to) if mail.in_reply_to else None
                if cause is not None and cause.sent is None:
                    self._cause.setdefault(mail.id, cause)

    def steps(self) -> list[Step]:
        wanted = [one for one in self._all if one.direction == "in" and is_with(one, self._who)]
        if not wanted:
            sent = [one for one in self._all if one.direction == "out" and is_with(one, self._who)]
            wanted = [self._cause[one.id] for one in sent if one.id in self._cause]
        while wanted:
            mail = wanted.pop()
            if mail.id not in self._steps:
                self._steps[mail.id] = self._step(mail)
                wanted += self._needed(self._steps[mail.id])
        return sorted(self._steps.values(), key=lambda one: one.mail.place)

    def _step(self, mail: Mail) -> Step:
        # Its own page knows what is not kept of it.
        whole = self._mails.get(mail.id) or mail
        step = Step(mail, self._mails.content(mail.id) or b"")
        seen: set[tuple[str, ...]] = set()
        for one in self._all:
            # Tracked mail and posts to a list leave for each by themselves, under one Message-ID.
            copy = (one.message_id, *one.correspondents)
            if self._cause.get(one.id) is mail and copy not in seen:
                if one.message_id:
                    seen.add(copy)
                step.letters.append(self._letter(one))
        step.is_all = all(self._is_told(step))
        if whole.lack:
            step.missing = f"what it says was not kept: {whole.lack}"
        return step

    def _is_told(self, step: Step) -> Iterator[bool]:
        """Whether nothing else can have come of it for its author."""
        if step.mail.sent is not None:
            known = {one.id for one in self._all}
            yield from (id in known for id in step.mail.sent)
            return
        later = [one for one in self._all if one.place > step.mail.place]
        yield from (
            one.id in self._cause
            for one in later
            if one.direction == "out" and is_with(one, step.author)
        )

    def _letter(self, mail: Mail) -> Letter:
        if mail.id not in self._letters:
            self._letters[mail.id] = Letter(mail, self._mails.content(mail.id) or b"")
        return self._letters[mail.id]

    def _needed(self, step: Step) -> list[Mail]:
        """What caused the mail that it answers; notes what is missing."""
        to = next(iter(step.mail.ours), "")
        is_signed = _TOKEN.search(to.partition("@")[0]) is not None
        answered = self._answered(step, to if is_signed else "")
        cause = self._cause.get(answered.id) if answered is not None else None
        if answered is not None and cause is not None:
            letter = self._letter(answered)
            if letter.is_from(to):
                step.asked = letter
                return [cause]
        if is_signed and not step.missing:
            step.missing = (
                f"{to} was signed for another time, and what caused the mail that it comes from is"
                " not known; what a script, a schedule or a timer sent, have sent here, by"
                " mailroom.mailer or mailroom.wait(), and reply() to it"
            )
        return []

    def _answered(self, step: Step, signed: str) -> Mail | None:
        """By In-Reply-To, else what came to its author from the signed address."""
        for id in step.message.in_reply_to:
            if id in self._by_message_id:
                return self._by_message_id[id]
        if not signed:
            return None
        mine = [one for one in self._all if one.direction == "out" and is_with(one, step.author)]
        before = [one for one in mine if one.place < step.mail.place]
        ours = address.normalise(signed)
        return next(
            (one for one in reversed(before) if ours in map(address.normalise, one.ours)), None
        )
