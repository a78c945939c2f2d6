"""What other filters found out about a mail: authentication results, and a spam score.

For handlers and for the milter's filters. Only what our own servers say counts: of
Authentication-Results (RFC 8601) the fields that begin with the authserv-id that is asked for. A
stranger may write any of these fields himself, so the server that adds them has to remove those
that come in (section 5); nobody can tell them apart later. A field that cannot be read is ignored.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Literal

import authres

from lamson import log
from lamson.message.encoded_words import unfold
from lamson.smtp import address
from lamson.smtp.folding import fold_domain
from lamson.smtp.organisation import is_aligned

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamson.message.request import MailRequest

__all__ = ["Authentication", "Result", "Spam", "authentication", "spam"]

_MAX_FIELD = 8192  # octets that are parsed, as of every structured field
_MAX_FIELDS = 20  # of our server that are parsed, from the top down
_MAX_OCTETS = 32_768  # in them together: authres takes some 7 s for a megabyte
_MAX_LOOKED_AT = 1000  # fields of anybody
_PROVEN = {"dkim": "header.d", "spf": "smtp.mailfrom", "dmarc": "header.from"}
_NUMBER = r"(-?[0-9]{1,6}(?:\.[0-9]{1,6})?)"
_RSPAMD = re.compile(rf"(?:\w+: )?(True|False)[^\[]*\[{_NUMBER} / {_NUMBER}\]")
_ASSASSIN = re.compile(rf"(Yes|No),.*?score={_NUMBER}(?:.*?required={_NUMBER})?", re.IGNORECASE)

_CONTROLS = re.compile("[\r\n\0]+")
_AUTHSERV_ID = re.compile(r"""\s*(?:"([^"\\]+)"|([^\s;()"]+))(?=[\s;(]|\Z)""")
# What authres does not read: a property with a plain value in quotes, unless it is the last one of
# its method; in angle brackets, as some servers write an address; or without a value, for which it
# takes the property that follows. Other strings in quotes are passed over.
_PLAIN = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.@-]*"
_WRAPPED = re.compile(
    rf"""(\.\s*[\w-]+\s*=)
    (?:\s*<({_PLAIN})> | \s*"({_PLAIN})"(?!@) | (?=(?:\s|\([^()]*\))+\w+\.[\w.-]+= | \s*(?:;|\Z)))
    | "(?:[^"\\]|\\.?)*(?:"|\Z)""",
    re.DOTALL | re.VERBOSE,
)
_EMPTY = "="  # stands for no value: authres has no other way to tell it


@dataclass(frozen=True, slots=True)
class Result:
    """One result: ``method`` (dkim, spf, dmarc, …), ``value`` (pass, fail, none, …).

    ``properties`` are like ``{"header.d": "example.org"}``; ``reason`` is for people.
    """

    method: str
    value: str
    properties: dict[str, str]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Authentication:
    """All results of one server, from the top down."""

    results: tuple[Result, ...] = ()

    def of(self, method: str) -> list[Result]:
        """The results of a method, such as "dkim"; there may be several."""
        return [one for one in self.results if one.method == method.lower()]

    def passed(self, method: str, domain: str | None = None) -> bool:
        """True where the method says pass; with ``domain``, for exactly this domain.

        It is that of header.d (DKIM), smtp.mailfrom (SPF) or header.from (DMARC).
        """
        return any(
            one.value == "pass" and (domain is None or fold_domain(domain) == _domain(one))
            for one in self.of(method)
        )


@dataclass(frozen=True, slots=True)
class Spam:
    """What a spam filter says: its score, the score from which it is spam, and its judgement.

    ``threshold`` is None where it is not told: rspamd's X-Spam-Status has none.
    """

    score: float
    threshold: float | None
    is_spam: bool


def authentication(message: MailRequest, authserv_id: str) -> Authentication:
    """The results of the server with this authserv-id; none where there are none. Never raises.

    They are read once for all recipients of a message. Of a server's fields the 20 topmost count,
    up to 32 KiB of them.
    """
    authserv_id = authserv_id.lower()
    known: dict[str, Authentication] = message.content.results
    if authserv_id not in known:
        known[authserv_id] = Authentication(tuple(_results(message, authserv_id)))
    return known[authserv_id]


def proof(message: MailRequest, authserv_id: str, domain: str) -> Literal["dmarc", "dkim"] | None:
    """What that server proved the message by to be from ``domain``, that of its From address.

    By DMARC for exactly this domain, or by a DKIM signature of the same organisation (RFC 7489
    section 3.1). Where DMARC failed as well, nothing is proven: the owner of the domain wants it
    stricter, or a server let a stranger write a result into its field.
    """
    found = authentication(message, authserv_id)
    folded = fold_domain(domain)
    dmarc = [one.value for one in found.of("dmarc") if _domain(one) == folded]
    if "fail" in dmarc:
        return None
    if "pass" in dmarc:
        return "dmarc"
    is_signed = any(
        one.value == "pass" and is_aligned(_domain(one), folded) for one in found.of("dkim")
    )
    return "dkim" if is_signed else None


class OwnServer:
    """What the application's own server, known by its authserv-id, testifies to about a message.

    The `lamson.message.witness.Witness` of the messages that come in. Never raises.
    """

    def __init__(self, authserv_id: str) -> None:
        self._authserv_id = authserv_id

    def author(self, message: MailRequest) -> Literal["dmarc", "dkim"] | None:
        """What proves the domain of the single From address; None without one."""
        domain = address.split(message.content.from_address)[1]
        return proof(message, self._authserv_id, domain) if domain else None

    def sender(self, message: MailRequest) -> bool:
        """Whether SPF (RFC 7208) proves the domain of the envelope sender: whom a bounce reaches.

        It says nothing of From, so it is no proof of the author.
        """
        domain = address.split(message.sender)[1]
        return bool(domain) and authentication(message, self._authserv_id).passed("spf", domain)

    def has_looked(self, message: MailRequest) -> bool:
        """Whether it has judged the author at all, by DMARC or DKIM, with whatever result."""
        found = authentication(message, self._authserv_id)
        return bool(found.of("dmarc") or found.of("dkim"))


def spam(message: MailRequest) -> Spam | None:
    """The judgement of rspamd (in either field) or SpamAssassin (X-Spam-Status), else None.

    The topmost field counts, the one that was added last.
    """
    for name, pattern, positive in (
        ("X-Spamd-Result", _RSPAMD, "true"),
        ("X-Spam-Status", _ASSASSIN, "yes"),
    ):
        found = pattern.search((message[name] or "")[:_MAX_FIELD])
        if found:
            threshold = float(found[3]) if found[3] else None
            return Spam(float(found[2]), threshold, found[1].lower() == positive)
    return None


def _results(message: MailRequest, authserv_id: str) -> Iterator[Result]:
    fields, octets = 0, 0
    for raw in islice(message.content.header.raw("Authentication-Results"), _MAX_LOOKED_AT):
        # Encoded words stay as they are: no field of this kind has any (RFC 8601 section 2.2). A
        # stranger's authserv-id in one is another than ours, whoever removes those, and what our
        # server quotes of him, such as his address, says nothing beside.
        value = _CONTROLS.sub(" ", unfold(raw).decode("utf-8", "replace"))
        # Looked at before it is parsed: a stranger's fields are not worth the time.
        first = _AUTHSERV_ID.match(value[:512])
        if first is None or (first[1] or first[2]).lower() != authserv_id:
            continue
        fields += 1
        octets += min(len(value), _MAX_FIELD)
        if fields > _MAX_FIELDS or octets > _MAX_OCTETS:
            log.logger.info("more Authentication-Results of %s than are read", authserv_id)
            return
        if len(value) > _MAX_FIELD:
            continue
        try:
            # authres knows no authserv-id in quotes (RFC 8601 section 2.2), so it gets another.
            rest = _WRAPPED.sub(_unwrapped, value[first.end() :])
            parsed = authres.AuthenticationResultsHeader.parse(f"Authentication-Results: us{rest}")
        except (authres.AuthResError, RecursionError, ValueError) as error:
            why = type(error).__name__  # its text is that of the field
            log.logger.info("Authentication-Results of %s cannot be read: %s", authserv_id, why)
            continue
        for one in parsed.results:
            properties = {
                f"{item.type}.{item.name}".lower(): str(item.value).removeprefix(_EMPTY)
                for item in one.properties
            }
            method, result = str(one.method).lower(), str(one.result).lower()
            yield Result(method, result, properties, one.reason or "")


def _unwrapped(found: re.Match[str]) -> str:
    return found[0] if found[1] is None else found[1] + (found[2] or found[3] or _EMPTY)


def _domain(result: Result) -> str:
    """The domain that the method has looked at, folded; what else is said there proves nothing."""
    value = result.properties.get(_PROVEN.get(result.method, ""), "")
    return fold_domain(value.rpartition("@")[2])
