"""Lines of Postfix's log, in each form in which one is kept.

By syslog with its old time (``Nov 29 12:24:03``) or that of RFC 3339, by Postfix itself
(`maillog_file`), or from the journal of systemd. What a mail says stands in such lines too, so a
line is about a mail only where Postfix has put the queue id, and ids are followed only where
Postfix itself or a server on this machine says them.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from lamson.tracing.event import Event

if TYPE_CHECKING:
    from collections.abc import Iterable

QUEUE_ID = r"(?:[0-9A-F]{6,20}|[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-z]{11,30})"
_LINE = re.compile(
    r"(?:<\d{1,3}>)?"
    r"(?:(?P<iso>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?)"
    r"|(?P<bsd>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d)) "
    r"(?:[^\s\[\]]+ )?(?P<name>[\w.+-]+(?:/[\w.+-]+)+)\[\d+\]: "
    r"(?:(?:warning|error|fatal|panic|info): )?"
    rf"(?P<id>{QUEUE_ID}|NOQUEUE): (?P<text>.*)",
    re.DOTALL,
)
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
# An address may be quoted, with anything in it; Postfix writes what is not printable as "?".
_ADDRESS = r'<(?:"(?:\\.|[^"\\])*"(?:@[^>]*)?|[^">]*)>'
_DELIVERED = re.compile(
    rf"to=(?P<to>{_ADDRESS}), (?:orig_to={_ADDRESS}, )?relay=(?P<relay>[^,]*), "
    r"(?:conn_use=\d+, )?delay=(?P<delay>[\d.]+), (?:delays=[\d./]+, )?(?:dsn=(?P<dsn>[\d.]+), )?"
    r"status=(?P<status>[\w-]+)(?: \((?P<reply>.*?)\)?)?$",
    re.DOTALL,
)
_TAKEN = re.compile(rf"from=(?P<from>{_ADDRESS}), size=(?P<size>\d+), nrcpt=(?P<nrcpt>\d+)")
_CLIENT = re.compile(rf"client=(?P<client>[^,]+)(?:, .*?\borig_queue_id=(?P<orig>{QUEUE_ID}))?")
_MESSAGE_ID = re.compile(r"message-id=(?P<message_id>.*)", re.DOTALL)
_NOTICE = re.compile(
    rf"(?:sender|postmaster) [a-z -]*notification: (?P<notice>{QUEUE_ID})", re.DOTALL
)
_REJECTED = re.compile(
    rf"(?:milter-)?reject: .* from=(?P<from>{_ADDRESS}) to=(?P<to>{_ADDRESS}) proto=", re.DOTALL
)
_HERE = re.compile(r"\[(?:127\.\d+\.\d+\.\d+|::1)\]|^[^\[]*\[[^\]]*/")  # or a socket's path
QUEUED = re.compile(rf"\bqueued as ({QUEUE_ID})\b")
_BEGIN = {"smtpd", "pickup", "cleanup", "postscreen"}


def parse(line: bytes, written_at: float) -> Event | None:
    """What happened to a mail; None for a line that is about none.

    ``written_at`` is when the log was written last, for times without a year.
    """
    found = _LINE.match(line.decode("utf-8", "backslashreplace"))
    if found is None:
        return None
    id, text = found["id"], found["text"]
    service = found["name"].rpartition("/")[2]
    if found["iso"]:
        at, is_precise = _iso(found["iso"]), "." in found["iso"] or "," in found["iso"]
    else:
        at, is_precise = _bsd(found["bsd"], written_at), False
    fields, leads = _read(service, id, text)
    return Event(
        "postfix",
        at,
        id,
        service,
        text,
        fields,
        tuple(leads),
        is_precise=is_precise,
        is_late=service not in _BEGIN and "nrcpt" not in fields,
    )


def _read(service: str, id: str, text: str) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """What is understood, and which ids it leads to."""
    leads = []
    for form in (_DELIVERED, _TAKEN, _CLIENT, _MESSAGE_ID, _NOTICE, _REJECTED):
        found = form.match(text)
        if found is None:
            continue
        fields = {name: value for name, value in found.groupdict().items() if value is not None}
        if form is _NOTICE and service == "bounce":
            leads.append((id, fields["notice"]))
        elif form is _CLIENT and "orig" in fields:
            leads.append((fields["orig"], id))
        elif form is _DELIVERED and _HERE.search(fields["relay"]):
            leads += [(id, other) for other in QUEUED.findall(fields.get("reply", ""))[-1:]]
        return fields, leads
    return {}, leads


def mailboxes(event: Event) -> Iterable[str]:
    """The addresses that a line names, without their brackets."""
    return (event.fields[name][1:-1] for name in ("from", "to") if name in event.fields)


def _iso(text: str) -> float | None:
    text = text.replace(",", ".")
    text = re.sub(r"(\.\d{6})\d+", r"\1", text)
    try:
        return datetime.fromisoformat(text).astimezone().timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def _bsd(text: str, written_at: float) -> float | None:
    """In the zone of this machine, and in the last year in which that was before the file was
    written."""
    try:
        end = datetime.now() if written_at == float("inf") else datetime.fromtimestamp(written_at)
        month = _MONTHS.index(text[:3]) + 1
        clock = datetime.strptime(text[7:], "%H:%M:%S")
        for year in range(end.year, end.year - 5, -1):  # the 29th of February is not in each
            try:
                found = datetime(
                    year, month, int(text[4:6]), clock.hour, clock.minute, clock.second
                )
            except ValueError:
                continue
            if found <= end + timedelta(days=1):
                return found.timestamp()
    except (ValueError, OverflowError, OSError):
        pass
    return None
