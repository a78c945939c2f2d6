r"""Bounces in words: which recipients they name, and what they say about each.

For `report`, where there are no fields to read. Servers that write no RFC 3464 (qmail, Exim, the
Postfix of old, Exchange, Notes, GroupWise, the big providers) differ in their words, and hardly in
how they stand: a copy of the mail comes last; a recipient that failed begins a line, or stands in a
sentence that says so; what the other server said comes with it or below it. So these are looked
for, and no server's template. Time is linear in the text, of which `MAX_TEXT` characters are read.
"""

from __future__ import annotations

import re
from typing import NamedTuple

MAX_TEXT = 1 << 16
MAX_LINE = 1000  # characters of a line that are looked at
MAX_RECIPIENTS = 1000
_MAX_DIAGNOSTIC = 12  # lines


class Told(NamedTuple):
    """What the words say. ``recipients`` are (address, what is said about it)."""

    recipients: list[tuple[str, str]]
    said: str  # all that stands before the copy
    copy: str  # the mail that they are about, "" without one


# The marks of Chinese and Japanese, that no blank follows, are of no address either.
_MARKS = r"\u3000-\u303f\uff08\uff09\uff0c\uff1a\uff1b"
_ADDRESS = (
    rf"[^\s<>()\[\]:;,\"'@*|{_MARKS}]{{1,128}}@"
    r"(?:[A-Za-z0-9_-]{1,63}\.){0,8}[A-Za-z0-9_-]{1,63}"
)
_ANY_ADDRESS = re.compile(_ADDRESS)

# A line that says that the mail itself follows.
_COPY_FOLLOWS = re.compile(
    r"[-=*_#>\s]*+(?:"
    r"(?:this|below this line|here|the following|included|below|attached|following)"
    r"(?: line)? is (?:a )?(?:copy|the (?:header|first|original|message))"
    r"|(?:(?<=--)|(?<=-- ))(?:the )?(?:header|body|original|unsent|undelivered"
    r"|returned|rejected|copy|message (?:header|text|"
    r"body|follows|contents))\b"
    r"|(?:your |the )?(?:original|unsent|returned|rejected|undelivered"
    r"|failed) (?:e-?mail )?(?:message|mail|"
    r"headers?|text|content)s?(?: (?:header|text|body|content)s?)?(?: is| are"
    r"| was)?(?: (?:follow(?:s|ing)?|below"
    r"|as follows|attached|included|starts?))?(?: (?:below|here))?\s*(?:[-:=*.]|$)"
    r"|message (?:header|text|contents?|body)s?(?: follows?)?\s*[-:=*]"
    r"|(?:the |a )?(?:first|initial) \d+ (?:lines|bytes|octets)"
    r"|(?:received|message|mail) (?:message )?follows|header of (?:the )?(?:original )?message"
    r"|start of (?:the )?(?:returned|original|message)"
    r"|the (?:header|text|body|message) (?:that was sent|of your|portion|you sent)"
    r"|(?:(?<=[-*=]{3})|(?<=[-*=]{3} ))(?:begin|start)\b"
    r")",
    re.IGNORECASE,
)
# Such a line says so whatever follows.
_COPY_FOLLOWS_SURELY = re.compile(
    r"[-=*#\s]*+(?:below this line is a copy|this is a copy of (?:the|your) (?:original )?message"
    r"|(?:the |your )?original message (?:details|headers?)"
    r"|(?:(?<=---)|(?<=--- ))unsent message)",
    re.IGNORECASE,
)
# What stands before the recipients that failed. What comes earlier may be whom the mail was for.
_INTRODUCES = re.compile(
    r"\b(?:following|these|those) (?:\S+ ){0,3}?(?:recipient|address|user|mailbox|person|e-?mail"
    r"|group)|"
    r"did not reach|not (?:yet )?(?:been )?delivered to|(?:failed|undeliverable) to"
    r"|permanent fatal errors|"
    r"returned permanent errors|could not deliver",
    re.IGNORECASE,
)
_PREFIX = re.compile(r"(?:smtp|rfc822|mailto)=", re.IGNORECASE)
_HEADER_LINE = re.compile(
    r"(?:Return-Path|Received|Delivered-To|X-[\w-]+|Message-I[Dd]|DKIM-Signature|From|Date|To"
    r"|Subject"
    r"|MIME-Version|Content-[\w-]+|Reply-To|Sender|References|In-Reply-To|Authentication-Results"
    r"|DomainKey-Signature|ARC-[\w-]+)[ \t]*:",
    re.IGNORECASE,
)
_TELLS_A_MAIL = re.compile(
    r"(?:Return-Path|Received|Message-ID|DKIM-Signature|MIME-Version)", re.IGNORECASE
)

# A recipient that a line begins with, maybe behind a word for it or a reply code.
_AT_LINE_START = re.compile(
    r"[\s>*\-\u2022\u30fb]*+(?:\d\.\s+)?"
    r"(?:(?:failed |original |final |intended |e-?mail |delivery (?:to|for) |message (?:to|for) )?"
    r"(?:to|recipients?|address(?:es)?|rcpt to|for|user|mailbox|e-?mail|account|unknown user"
    r"|empfänger|destinataire"
    r"|destinatario|delivery to)"
    r"(?: address)?(?: is| was)?(?:\s*[:=]\s*|\s++)|(?:[45]\d\d[ -])(?:#?[45]\.\d+\.\d+ )?"
    r"|rfc822; ?|smtp:|\d+ )?"
    rf"(?:\"[^\"\n]*\"\s*)?['\"]?<?(?:smtp:|mailto:)?({_ADDRESS})>?['\"]?"
    r"(?=\s*(?:$|[:;.,(\-\u2013|]|on \w{2,4}[., ]|\bat\b|<mailto|\.\.\.|did|was|is|has|does|not"
    r"|mail ?box|user|"
    r"failed|\d{3}\b|\[|\"|'))",
    re.IGNORECASE,
)
_TELLS_FAILURE = re.compile(
    r"deliver|recipient|mail ?box|\buser\b|unknown|reject|fail|\brcpt\b|reach|exist|address"
    r"|account|no such|"
    r"invalid|not found|quota|full|refused|denied|disabled|bounce|undeliver|could not|cannot"
    r"|unable|sent to|"
    r"message to|mail to|e-?mail to|destin|utente|usu[aá]rio|empf[aä]nger|zustell"
    r"|\b[45]\d\d\b",
    re.IGNORECASE,
)
_COMMAND = re.compile(rf"\brcpt to: ?<?({_ADDRESS})", re.IGNORECASE)
# Who wrote, whom to ask, and what is nobody's mailbox.
_OTHERS = re.compile(
    r"mail[ _-]?from|\bfrom\b ?[:=]|sender|message[- ]?id|contact|questions?|\bhelp\b|support"
    r"|assistance|"
    r"administrator|postmaster|\bqueue[- ]id|reply[- ]to|return[- ]path|on behalf|remove yourself|"
    r"unsubscribe|\bhelo\b|\behlo\b|abuse@|https?://\S*@|sent by|written by|originat|\bid:? ?<",
    re.IGNORECASE,
)
_SYSTEM = re.compile(
    r"(?:mailer-daemon|postmaster|mail-daemon|double-bounce|abuse|noreply|no-reply)@", re.IGNORECASE
)
_CODED = re.compile(r"(?<![\d.])[45](?:\d\d|\.\d+\.\d+)(?![\d.])")

# That it goes on being tried, said so that nothing else can be meant, or in passing.
_SURELY_DELAYED = re.compile(
    r"not yet (?:been )?deliver|no action is required|warning message only"
    r"|this is (?:only )?a warning|"
    r"do(?:es)? not need to (?:re-?send|do anything)|delay(?:ed)? (?:mail|delivery|notification"
    r"|\d+)|"
    r"(?:delivery )?status notification \(delay|message \S+ delayed"
    r"|delivery attempts will continue|"
    r"could not send (?:mail|message) for (?:the )?past|has been delayed|is delayed|(?:delay"
    r"|delayed)\)",
    re.IGNORECASE,
)
_DELAYED = re.compile(
    r"will (?:be (?:retried|attempted|tried)|keep (?:on )?(?:trying|retrying)|continue|try|retry"
    r"|still)|"
    r"still (?:being (?:retried|attempted)|trying|be(?:ing)? (?:tried|attempted)"
    r"|in (?:the )?queue)|delay|"
    r"keep trying|re-?try(?:ing)? (?:for|until)|"
    r"(?:undelivered|not been delivered)[^.]{0,40} (?:after|for) \d+ (?:hours|minutes)",
    re.IGNORECASE,
)
_GIVEN_UP = re.compile(
    r"permanent(?:ly)? (?:error|fail|fatal)|(?:given|giving|gave) (?:it )?up|(?:returning"
    r"|returned) (?:message|mail|to)|"
    r"could not be delivered to|no further (?:attempt|deliver)|failed permanently"
    r"|will not be re-?tr|undeliverable|"
    r"has been (?:in the queue too long|bounced|rejected|returned)|fatal error"
    r"|cannot send message (?:for|within)",
    re.IGNORECASE,
)
_ABOUT_FAILURE = re.compile(
    r"undeliver|failure notice|return(?:ed|ing) (?:e-?)?(?:mail|message|to sender)"
    r"|deliver\w* (?:status|notif|fail|"
    r"report|error|problem|has failed|subsystem)|fail\w* (?:deliver|mail|notif)"
    r"|mail (?:deliver\w* )?(?:system )?(?:fail|"
    r"error|status|return)|non-?deliver|bounce|(?:not|n't) (?:be(?:en)? )?(?:deliver|sent|send)"
    r"|nondeliverable|"
    r"unzustell|unbestell|non (?:recapit|remis|distribu|consegn)|no se (?:puede|pudo|ha)"
    r"|no entregad|n[aã]o (?:é "
    r"poss|entreg|foi)|niet[- ](?:bestel|bezorg)|onbestel|ikke lever|olevererb|недостав"
    r"|не доставлен|не может быть|"
    r"user unknown|unknown user|delay|error sending|problem deliver|message status|rejected"
    r"|delivery failure|"
    r"could not send|cannot send|unable to deliver"
    r"|配信|返信不能|送信|配達|メール.{0,4}エラー|退信|退回|投递",
    re.IGNORECASE,
)


def is_about_failure(text: str) -> bool:
    """True for a subject or sentence about mail that was not delivered, or not yet."""
    return _ABOUT_FAILURE.search(text[:MAX_LINE]) is not None


def is_delayed(said: str) -> bool:
    """True where the words say that it goes on being tried."""
    if _SURELY_DELAYED.search(said):
        return True
    return _DELAYED.search(said) is not None and _GIVEN_UP.search(said) is None


def read(text: str, ours: frozenset[str]) -> Told:
    """What the text of a bounce tells; addresses in ``ours`` (lower case) are no recipients."""
    lines = text[:MAX_TEXT].split("\n")
    end = _where_the_copy_begins(lines)
    said = lines[:end]
    found = _recipients(said, ours) or _commanded(lines, ours)
    copy = _mail_in(lines[end:])
    return Told(found, "\n".join(said), copy)


def mailed_to(copy: str) -> str:
    """The address in the To field of the copy where that has one alone, else ""."""
    for line in copy.split("\n", 500)[:500]:
        if not line.strip():
            return ""
        if line[:3].lower() == "to:":
            found = _ANY_ADDRESS.findall(line[:MAX_LINE])
            return found[0] if len(found) == 1 else ""
    return ""


def _where_the_copy_begins(lines: list[str]) -> int:
    for number, line in enumerate(lines):
        if number and _COPY_FOLLOWS_SURELY.match(line[:MAX_LINE]):
            return number
        if _COPY_FOLLOWS.match(line[:MAX_LINE]):
            if number and _is_mail(lines[number + 1 : number + 12]):
                return number
        elif _HEADER_LINE.match(line[:100]) and _is_mail(lines[number : number + 12]):
            return number
    return len(lines)


def _is_mail(lines: list[str]) -> bool:
    """Whether header fields of a mail stand there."""
    fields = [
        line.lstrip("> \t") for line in lines if _HEADER_LINE.match(line[:100].lstrip("> \t"))
    ]
    return (len(fields) > 2 and any(map(_TELLS_A_MAIL.match, fields))) or len(fields) > 3


def _mail_in(lines: list[str]) -> str:
    for number, line in enumerate(lines):
        if _HEADER_LINE.match(line[:100].lstrip("> \t")):
            margin = len(line) - len(line.lstrip("> \t"))
            return "\n".join(
                one[margin:] if one[:margin].strip("> \t") == "" else one for one in lines[number:]
            )
    return ""


def _recipients(lines: list[str], ours: frozenset[str]) -> list[tuple[str, str]]:
    """Those that lines begin with, else those in sentences about a failure, else one alone."""
    beginning: dict[str, int] = {}
    telling: dict[str, int] = {}
    named: dict[str, int] = {}
    spelt: dict[str, str] = {}
    introduced = _introduction(lines)
    for number, whole in enumerate(lines):
        if "@" not in whole or len(spelt) > MAX_RECIPIENTS:
            continue
        line = whole[:MAX_LINE]
        others = _OTHERS.search(line)
        tells = others is None and _TELLS_FAILURE.search(line) is not None
        start = _AT_LINE_START.match(line)
        for found in _ANY_ADDRESS.finditer(line):
            text = _PREFIX.sub("", found[0].strip(".'-"))
            key = text.lower()
            if key in ours or _SYSTEM.match(text):
                continue
            spelt.setdefault(key, text)
            if start is not None and start.start(1) == found.start():
                beginning.setdefault(key, number)
            elif tells:
                telling.setdefault(key, number)
            elif others is None:
                named.setdefault(key, number)
    if introduced:
        later = {key: number for key, number in beginning.items() if number >= introduced}
        if not later:
            later = {key: number for key, number in telling.items() if number >= introduced}
        beginning = later or beginning
    if beginning and telling:
        # What the transcript of a session says besides is about the same.
        beginning = {
            key: number for key, number in beginning.items() if _is_clear(lines[number])
        } or beginning
    chosen = beginning or telling or (named if len(named) == 1 else {})
    starts = set(chosen.values())
    coded = [line[:MAX_LINE].strip() for line in lines if _CODED.search(line[:MAX_LINE])]
    return [
        (spelt[key], _diagnostic(lines, number, starts, key, coded))
        for key, number in chosen.items()
    ]


def _introduction(lines: list[str]) -> int:
    """The first line that introduces recipients, 0 for none."""
    for number, line in enumerate(lines):
        if _INTRODUCES.search(line[:MAX_LINE]):
            return number
    return 0


def _commanded(lines: list[str], ours: frozenset[str]) -> list[tuple[str, str]]:
    """Those that a transcript or a list of details has behind RCPT TO."""
    found: dict[str, str] = {}
    for line in lines[:MAX_RECIPIENTS]:
        if (one := _COMMAND.search(line[:MAX_LINE])) and one[1].lower() not in ours:
            found.setdefault(one[1], " ".join(lines[:_MAX_DIAGNOSTIC]))
    return list(found.items())


def _is_clear(line: str) -> bool:
    return _OTHERS.search(line[:MAX_LINE]) is None


def _diagnostic(lines: list[str], number: int, starts: set[int], key: str, coded: list[str]) -> str:
    """What is said with a recipient: in its line and those below, or where a code stands by it.

    ``coded`` are all lines with a code.
    """
    said = [lines[number][:MAX_LINE].strip()]
    for at in range(number + 1, min(len(lines), number + _MAX_DIAGNOSTIC)):
        if at in starts or (not lines[at].strip() and len(said) > 1):
            break
        if lines[at].strip():
            said.append(lines[at][:MAX_LINE].strip())
    text = " ".join(said)
    if not _CODED.search(text):
        by_name = [line for line in coded if key in line.lower()]
        if not by_name and len(starts) == 1:
            by_name = coded
        text = " ".join([text, *by_name[:3]])
    return text
