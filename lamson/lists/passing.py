"""What a post looks like when members get it.

It is as it came, with fields on top, so that its signatures stay valid (DKIM, PGP, S/MIME), unless
the list says otherwise: a From that the author's domain would have refused is replaced, a tag is
put into the Subject, a footer below a plain text. What any of these breaks is the author's DKIM
signature, which is taken off: a signature that fails makes a bad impression, none makes none.
Nothing is put into what is signed or encrypted, in HTML, or has parts.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lamson.message.compose import normalise_newlines
from lamson.message.mailboxes import MAX_NAME, Mailbox
from lamson.message.notes import without_notes
from lamson.message.passing_on import with_fields
from lamson.smtp import address

if TYPE_CHECKING:
    from lamson.lists.mailing_list import MailingList
    from lamson.message.mailboxes import Addresses
    from lamson.message.request import MailRequest

BEEN_THERE = "X-BeenThere"
# Those of another list that the post came from, or of who posts: they speak of no mail of ours.
_OTHERS = ("List-Unsubscribe", "List-Unsubscribe-Post")
# They have mail programs tell the author who reads the list (RFC 8098 section 2.1, and older ones).
_RECEIPTS = ("Disposition-Notification-To", "Return-Receipt-To", "X-Confirm-Reading-To")
_HEADER_END = re.compile(rb"\r?\n\r?\n")


def fields(the_list: MailingList) -> list[tuple[str, Addresses]]:
    """Those that mail of the list has, besides how each member leaves (RFC 2369, RFC 2919)."""
    title = re.sub(r'["\\<>\r\n]', "", the_list.title)
    shown = f'"{title}" ' if title.isascii() else ""
    found: list[tuple[str, Addresses]] = [
        ("List-Id", f"{shown}<{the_list.list_id}>"),
        ("List-Post", f"<mailto:{the_list.address}>"),
        ("List-Subscribe", f"<mailto:{the_list.at('subscribe')}>"),
        ("List-Owner", f"<mailto:{the_list.at('owner')}>"),
        ("List-Help", f"<{the_list.help_url or 'mailto:' + the_list.at('help')}>"),
    ]
    if the_list.archive_url:
        found.append(("List-Archive", f"<{the_list.archive_url}>"))
    return [*found, ("Precedence", "list"), (BEEN_THERE, the_list.address)]


def was_here(the_list: MailingList, message: MailRequest) -> bool:
    """Whether the list has passed it on before."""
    ours = address.normalise(the_list.address)
    return any(address.normalise(one.strip()) == ours for one in message.get_all(BEEN_THERE)) or (
        any(f"<{the_list.list_id}>" in one.lower() for one in message.get_all("List-Id"))
    )


def is_rewritten(the_list: MailingList, message: MailRequest) -> bool:
    """Whether the From of a post is replaced. May ask the DNS."""
    if the_list.rewrite != "needed":
        return the_list.rewrite == "always"
    return the_list.policies.refuses(address.split(message.from_[0].address)[1])


def passed_on(the_list: MailingList, message: MailRequest) -> bytes:
    """The message as it goes to the members."""
    ours = fields(the_list)
    without = [name for name in (*_OTHERS, *_RECEIPTS) if name in message]
    is_changed = any(name in message for name in _RECEIPTS)
    if is_rewritten(the_list, message):
        is_changed = True
        ours += _rewritten(the_list, message)
    content = without_notes(message.raw)
    tag = the_list.subject_tag
    is_changed |= bool(tag) and tag.lower() not in message.subject.lower()
    if the_list.footer and (below := _with_footer(content, message, the_list.footer)):
        content, is_changed = below, True
    if is_changed:
        without.append("DKIM-Signature")
    return normalise_newlines(
        with_fields(
            content,
            ours,
            subject=message.subject,
            prefix=tag,
            utf8=message.envelope.smtputf8,
            without=without,
        )
    )


def _rewritten(the_list: MailingList, message: MailRequest) -> list[tuple[str, Addresses]]:
    """From is the list's, in the name of the author, whom answers still reach."""
    author = message.from_[0]
    name = author.name or address.split(author.address)[0]
    shown = f"{name} via {the_list.title}"
    if len(shown) > MAX_NAME:
        shown = shown[: MAX_NAME - 3] + "..."
    found: list[tuple[str, Addresses]] = [
        ("From", Mailbox(shown, the_list.address)),
        ("X-Original-From", str(author) if author.address.isascii() else author.address),
    ]
    if not message.reply_to:
        found.append(("Reply-To", Mailbox(author.name, author.address)))
    return found


def _with_footer(content: bytes, message: MailRequest, footer: str) -> bytes | None:
    """The message with a footer; None for one that has to stay as it is."""
    kind = (message["Content-Type"] or "text/plain").lower()
    encoding = (message["Content-Transfer-Encoding"] or "7bit").strip().lower()
    if kind.partition(";")[0].strip() != "text/plain" or encoding not in ("7bit", "8bit"):
        return None
    if "-----BEGIN PGP" in message.body or not _HEADER_END.search(content):
        return None
    is_utf8 = encoding == "8bit" and "utf-8" in kind
    if not footer.isascii() and not is_utf8:
        return None
    ending = b"" if content.endswith(b"\n") else b"\r\n"
    return content + ending + b"-- \r\n" + footer.strip().encode() + b"\r\n"
