"""Mail to all the old destinations of a set-up: how it is answered, and what arrives where."""

from __future__ import annotations

import re
import smtplib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.postfix.sasl import PASSWORD
from tests.postfix.setups.setup import Old
from tests.postfix.setups.town import Arrived, at_sink

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.postfix.setups.servers import Town
    from tests.postfix.setups.town import SetupPostfix

SOURCES = {"stranger": "127.0.0.2", "here": "127.0.0.1"}
_SUBJECT = re.compile(r"(?m)^Subject: (?:\S+ )?(old [0-9]+)$")
Answers = dict[str, tuple[int, str]]


@dataclass
class Seen:
    """``answers`` of smtpd, by the mail; what ``arrived``, and how many bounces there were."""

    answers: dict[str, Answers] = field(default_factory=dict)
    arrived: list[tuple[str, Arrived]] = field(default_factory=list)
    bounced: list[str] = field(default_factory=list)

    def places(self, name: str) -> set[tuple[str, str]]:
        """Where this mail arrived, and for whom; of a mailbox, that is in its name."""
        return {
            (one.place, recipient)
            for mail, one in self.arrived
            if mail == name
            for recipient in one.recipients or ("",)
        }


def offer(postfix: SetupPostfix, old: Old, name: str) -> Answers:
    """Hand one in; gives each answer, without the queue id."""
    content = (
        f"From: {old.sender}\r\nTo: {old.address}\r\nSubject: {name}\r\n"
        "Date: Thu, 1 Jan 2026 00:00:00 +0000\r\n"
        f"Message-ID: <{name.replace(' ', '-')}@sender.test>\r\n"
        "X-Internal: secret\r\n\r\nHi there.\r\n"
    ).encode()
    if old.by == "sendmail":
        postfix.run("sendmail", "-i", "-f", old.sender, old.address, stdin=content)
        return {}
    answers: Answers = {}
    is_submitted = old.by in ("login", "submission")
    port = postfix.submission_port if is_submitted else postfix.smtp_port
    source = (SOURCES.get(old.by, "127.0.0.2"), 0)
    # Postfix's master waits a minute before it starts a process again that ended at its start.
    with smtplib.SMTP("127.0.0.1", port, "client.test", 150, source_address=source) as client:
        client.ehlo()
        if old.by in ("login", "submission"):
            client.starttls()
            client.ehlo()
        if old.by == "login":
            client.login("lamson", PASSWORD)
        for command in (f"MAIL FROM:<{old.sender}>", f"RCPT TO:<{old.address}>"):
            answers[command[:4]] = _settled(client.docmd(command))
        if answers["RCPT"][0] == 250:
            answers["DATA"] = _settled(client.data(content))
    return answers


def _settled(reply: tuple[int, bytes]) -> tuple[int, str]:
    return reply[0], re.sub(r"queued as \w+", "queued as ID", reply[1].decode("utf-8", "replace"))


def send_all(postfix: SetupPostfix, town: Town, olds: Sequence[Old]) -> Seen:
    """Each of them, and wait until Postfix has no mail left."""
    town.forget()
    for box in postfix.spool.iterdir():
        box.unlink()
    seen = Seen()
    for number, old in enumerate(olds):
        seen.answers[f"old {number}"] = offer(postfix, old, f"old {number}")
    for instance in (postfix, postfix.second):
        if instance is not None:
            instance.wait_empty()
    for one in (*postfix.mailboxes(), *_at_sinks(town)):
        if found := _SUBJECT.search(one.content):
            if "\nReturn-Path: " in one.content and one.sender == "":
                seen.bounced.append(found[1])
            else:
                seen.arrived.append((found[1], one))
    seen.arrived.sort()
    seen.bounced.sort()
    return seen


def _at_sinks(town: Town) -> list[Arrived]:
    return [one for place, sink in town.sinks.items() for one in at_sink(place, sink)]


def is_same(seen: Seen, before: Seen) -> None:
    assert seen.answers == before.answers
    assert seen.arrived == before.arrived
    assert seen.bounced == before.bounced


def code(postfix: SetupPostfix, address: str) -> int:
    """What a stranger is answered who writes to it."""
    answers = offer(postfix, Old(address, ""), "hello")
    return answers.get("DATA", answers["RCPT"])[0]
