"""What a machine reports: mail that failed, waits, was delivered, shown or complained about.

For `MailRequest.report`. Mail of people costs a look at the header. Where that shows a program, the
report is read from the fields of RFC 3464 and 6533 (delivery), 5965 (complaints) or 8098 (read
receipts), else from the words that mail systems use (`bounce_text`), and last by flufl.bounce.
Nothing here raises. Who believes a report believes a stranger: anybody can write one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, NamedTuple

from lamson.message import (
    autoreply,
    bounce_text,
    delivery_status,
    failure,
    html_text,
    other_bounces,
    vacation,
)
from lamson.message.defects import Defects
from lamson.message.message import Message
from lamson.message.parameters import ContentField
from lamson.message.parsed import ParsedMessage
from lamson.smtp import address

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lamson.message.part import Part

Kind = Literal[
    "failed",
    "delayed",
    "delivered",
    "relayed",
    "expanded",
    "complaint",
    "disposition",
    "vacation",
]
"""What is reported. The first five are the actions of RFC 3464 section 2.3.3, the worst of all
recipients'; a complaint is RFC 5965's, a disposition what became of mail with its reader (RFC
8098), a vacation an answer that somebody's program gave for him."""

_ACTIONS: tuple[Kind, ...] = ("failed", "delayed", "delivered", "relayed", "expanded")
_STATUS_PARTS = frozenset(
    {"message/delivery-status", "message/global-delivery-status", "message/tracking-status"}
    | {"text/delivery-status", "message/delivery-report"}
)
_DISPOSITION_PARTS = frozenset(
    {"message/disposition-notification", "message/global-disposition-notification"}
)
_COMPLAINT_PARTS = frozenset({"message/feedback-report"})
_ORIGINAL_PARTS = frozenset(
    {"message/rfc822", "message/global", "text/rfc822-headers", "message/rfc822-headers"}
    | {"message/global-headers", "message/news", "text/rfc822", "message/partial"}
)
_MANY = bounce_text.MAX_RECIPIENTS
_MOST_SAID, _LEAST_SAID = 1 << 16, 256  # characters that are kept of what is said: of all, of each
_UNREADABLE = frozenset({"list", "bulk", "loop", "suppressed"})  # which no report is marked as
_OF_DELIVERY = re.compile(r"delivery|tracking")
_WORD = re.compile(r"[a-z]+")
_FIELDS_IN_TEXT = re.compile(r"^(?:Final|Original)-Recipient[ \t]*:", re.IGNORECASE | re.MULTILINE)


class ReportedRecipient(NamedTuple):
    """One recipient, and what became of the mail for him.

    ``action`` is one of RFC 3464 (failed, delayed, delivered, relayed, expanded), in a disposition
    what was done (displayed, deleted, …), in a complaint its type (abuse, fraud, …), in a vacation
    "". ``status`` is the enhanced status code, such as 5.1.1: as told, else what the words amount
    to. ``diagnostic`` is what the other server said, in words.
    """

    address: str
    action: str = ""
    status: str = ""
    diagnostic: str = ""

    @property
    def is_permanent(self) -> bool:
        """True where trying again is of no use (class 5 of RFC 3463)."""
        return self.action == "failed" and self.status.startswith("5")

    @property
    def reason(self) -> failure.Reason:
        """What was in the way, such as "unknown-user" or "mailbox-full"."""
        if self.action not in ("failed", "delayed"):
            return "unknown"
        return failure.reason_of(self.diagnostic, self.status)


class Report(NamedTuple):
    """What a machine reports; ``original`` is the mail that it is about, or its header alone, where
    that came with it. ``recipients`` is empty where nobody is named."""

    kind: Kind
    recipients: list[ReportedRecipient]
    original: Message | None


def read(content: ParsedMessage, sender: str, author: str, recipient: str) -> Report | None:
    """What the message reports, None for one that is no report.

    ``sender`` is the envelope's, ``author`` that of the From field, ``recipient`` whom it came to.
    """
    if b"\n" not in content.raw:  # as files of old Macs have it
        content = ParsedMessage(content.raw.replace(b"\r", b"\n"))
    header = content.header
    found = autoreply.automatic(header, sender, author, recipient)
    is_from_daemon = autoreply.is_from_daemon(header, author)
    is_daemons = not sender or is_from_daemon or autoreply.is_daemon(sender)
    if found is None or (found.kind in _UNREADABLE and not is_daemons):
        return None
    own = [part for part in content.parts if part.within is None]
    if fields := _first(own, _STATUS_PARTS):
        return _delivery(content, own, fields, recipient)
    if fields := _first(own, _COMPLAINT_PARTS):
        return _complaint(own, fields)
    if fields := _first(own, _DISPOSITION_PARTS):
        return _disposition(content, own, fields)
    if found.kind == "report" and (complained := _complaint_of_its_own(own)):
        return complained
    subject = header.get("Subject") or ""
    is_answer = found.kind == "reply" or (
        found.kind not in ("report", "program") and vacation.is_absence(subject)
    )
    if is_answer and not is_from_daemon:
        return Report("vacation", [ReportedRecipient(author)] if author else [], None)
    declared = ContentField(header, "Content-Type", Defects())
    kind = (declared.text("report-type") or "").lower() if declared.is_there else ""
    if "feedback" in kind:
        return Report("complaint", [], _original(own, ""))
    if "disposition" in kind:
        return Report("disposition", [], _original(own, ""))
    if kind and not _OF_DELIVERY.search(kind):  # such as RFC 8460's, of TLS
        return None
    is_persons = author and author != sender and not is_from_daemon
    is_reports = (is_daemons and not is_persons) or found.kind == "report"
    return _in_words(content, own, subject, recipient, is_reports)


# In fields


def _delivery(content: ParsedMessage, own: list[Part], fields: Part, recipient: str) -> Report:
    recipients = _recipients_in(fields.text)
    told = _words(content, own, recipient)
    if not any(one.address for one in recipients):
        recipients = _named_otherwise(content, own, told, recipients, recipient)
    recipients = _unique(one for one in recipients if one.address)
    actions = {one.action for one in recipients}
    kind: Kind = next((action for action in _ACTIONS if action in actions), "failed")
    return Report(kind, recipients, _original(own, told.copy))


def _recipients_in(text: str) -> list[ReportedRecipient]:
    """One for each group of fields about a recipient; those without an address too."""
    found: list[ReportedRecipient] = []
    left = _MOST_SAID
    for group in delivery_status.groups(text):
        names = ("original-recipient", "final-recipient", "x-actual-recipient", "recipient")
        if not ({*names, "action", "status"} & set(group)):
            continue
        addresses = (delivery_status.address_of(group.get(name, "")) for name in names)
        words = delivery_status.text_of(group.get("diagnostic-code", ""))
        for more in ("x-supplementary-info", "x-postfix-diagnostic", "x-display-name"):
            words = words or delivery_status.text_of(group.get(more, ""))
        words = words[: max(left, _LEAST_SAID)]
        left -= len(words)
        declared = group.get("status", "")
        action = _action(group.get("action", ""), declared)
        status = failure.status_of(words, declared)
        if action in ("failed", "delayed") and not status:
            status = failure.guessed_status(words, is_delayed=action == "delayed")
        found.append(ReportedRecipient(next(filter(None, addresses), ""), action, status, words))
        if len(found) == _MANY:
            break
    return found


def _action(text: str, status: str) -> str:
    word = _WORD.match(text.strip().lower())
    if word is None:
        return {"2": "delivered", "4": "delayed"}.get(status.strip()[:1], "failed")
    if word[0] in _ACTIONS:
        return word[0]
    return "delayed" if word[0].startswith("delay") else "failed"


def _named_otherwise(
    content: ParsedMessage,
    own: list[Part],
    told: bounce_text.Told,
    unnamed: list[ReportedRecipient],
    recipient: str,
) -> list[ReportedRecipient]:
    """The addresses from elsewhere, for fields that name none."""
    like = unnamed[0] if unnamed else ReportedRecipient("", "failed", "5.0.0", "")
    found = _addresses(content, own, told, recipient)
    return [like._replace(address=one, diagnostic=like.diagnostic or said) for one, said in found]


def _complaint(own: list[Part], fields: Part) -> Report:
    group: delivery_status.Group = {}
    for one in delivery_status.groups(fields.text):
        group |= {name: value for name, value in one.items() if name not in group}
    kind = (group.get("feedback-type") or "abuse").partition(";")[0].strip().lower()[:40]
    original = _original(own, "")
    names = ("original-rcpt-to", "removal-recipient", "redacted-address")
    addresses = [delivery_status.address_of(group.get(name, "")) for name in names]
    if not any(addresses) and original is not None:
        addresses = [bounce_text.mailed_to(f"To: {original.get('To') or ''}")]
    found = next(filter(None, addresses), "")
    recipients = [ReportedRecipient(found, kind)] if found else []
    return Report("complaint", recipients, original)


def _complaint_of_its_own(own: list[Part]) -> Report | None:
    """What Microsoft sends: the mail, with a field of its own on top."""
    original = _original([own[0], *own], "")
    named = original.get("X-HmXmrOriginalRecipient") if original else None
    if not named:
        return None
    found = delivery_status.address_of(named)
    return Report("complaint", [ReportedRecipient(found, "abuse")] if found else [], original)


def _disposition(content: ParsedMessage, own: list[Part], fields: Part) -> Report:
    group = next(delivery_status.groups(fields.text), {})
    _, _, done = group.get("disposition", "").partition(";")
    word = _WORD.match(done.strip().lower())
    names = ("original-recipient", "final-recipient")
    addresses = (delivery_status.address_of(group.get(name, "")) for name in names)
    one = ReportedRecipient(next(filter(None, addresses), ""), word[0] if word else "")
    one = one._replace(diagnostic=group.get("failure", group.get("error", "")))
    marks = f"{content.header.get('Auto-Submitted')} {content.header.get('Subject')}".lower()
    kind: Kind = "disposition"
    if one.action in ("deleted", "denied", "failed") and "reject" in marks:
        # How filters refuse mail that was taken already (RFC 5429 section 2.1.2).
        said = " ".join(_words(content, own, "").said.split())
        status = failure.status_of(said) or failure.guessed_status(said, is_delayed=False)
        kind, one = "failed", ReportedRecipient(one.address, "failed", status, said[:1000])
    return Report(kind, [one] if one.address else [], _original(own, ""))


# In words


def _in_words(
    content: ParsedMessage, own: list[Part], subject: str, recipient: str, is_reports: bool
) -> Report | None:
    told = _words(content, own, recipient)
    in_fields = _recipients_in(told.said) if _FIELDS_IN_TEXT.search(told.said) else []
    if recipients := [one for one in in_fields if one.address]:  # in a part of another type
        kind: Kind = next((one for one in _ACTIONS if one == recipients[0].action), "failed")
        return Report(kind, _unique(recipients), _original(own, told.copy))
    words = " ".join(told.said.split())
    if not (is_reports or any(map(bounce_text.is_about_failure, (subject, words)))):
        return None
    found = _addresses(content, own, told, recipient)
    is_delayed = bounce_text.is_delayed(f"{subject}\n{told.said}")
    if not found and not is_reports:
        return None
    action = "delayed" if is_delayed else "failed"
    recipients = []
    most = max(_MOST_SAID // max(len(found), 1), _LEAST_SAID)
    for one, whole in found:
        said = whole[:most]
        if failure.reason_of(said, "") == "unknown":
            said = " ".join(f"{said} {told.said[:2000]}".split())[:most]
        status = failure.status_of(said)
        if not status or (is_delayed and not status.startswith("4")):
            status = failure.guessed_status(said or told.said[:most], is_delayed=is_delayed)
        recipients.append(ReportedRecipient(one, action, status, said))
    return Report("delayed" if is_delayed else "failed", recipients, _original(own, told.copy))


def _words(content: ParsedMessage, own: list[Part], recipient: str) -> bounce_text.Told:
    most = bounce_text.MAX_TEXT
    texts = [part.text[:most] for part in own if part.content_type == "text/plain"]
    if not any(map(str.strip, texts)):
        pages = [part.text for part in own if part.content_type == "text/html"]
        texts = [html_text.text_of(page)[:most] for page in pages]
    if not texts and not own[0].content_type.startswith(("message/", "multipart/", "text/")):
        texts = [own[0].text[:most]]
    ours = {recipient.lower(), address.normalise(recipient)}
    return bounce_text.read("\n".join(texts), frozenset(ours))


def _addresses(
    content: ParsedMessage, own: list[Part], told: bounce_text.Told, recipient: str
) -> list[tuple[str, str]]:
    """Whom the mail did not reach, and what is said of each; from where it is surest."""
    failed = content.header.get_all("X-Failed-Recipients")
    named = [one for value in failed for one in value.split(",") if "@" in one]
    if named:
        said = {one.lower(): words for one, words in told.recipients}
        spelt = [delivery_status.address_of(one) for one in named[:_MANY]]
        return [(one, said.get(one.lower(), told.said)) for one in spelt if one]
    if told.recipients:
        return told.recipients
    nested = [part for part in content.parts if part.content_type in _STATUS_PARTS]
    if nested:  # a report that was sent on
        return [
            (one.address, one.diagnostic) for one in _recipients_in(nested[0].text) if one.address
        ]
    if others := other_bounces.recipients(content.header, told.said):
        return [(one, told.said) for one in others]
    original = _original(own, told.copy)
    if original is None:
        return []
    found = bounce_text.mailed_to(f"To: {original.get('To') or ''}")
    is_other = found and address.normalise(found) != address.normalise(recipient)
    return [(found, told.said)] if is_other else []


# What both need


def _first(own: list[Part], kinds: frozenset[str]) -> Part | None:
    return next((part for part in own if part.content_type in kinds), None)


def _original(own: list[Part], copy: str) -> Message | None:
    for part in own[1:]:
        if part.content_type in _ORIGINAL_PARTS:
            return Message(part.content)
    return Message(copy.encode("utf-8", "replace")) if copy else None


def _unique(recipients: Iterable[ReportedRecipient]) -> list[ReportedRecipient]:
    found: dict[str, ReportedRecipient] = {}
    for one in recipients:
        found.setdefault(one.address.lower(), one)
    return list(found.values())
