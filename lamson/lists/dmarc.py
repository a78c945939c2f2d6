"""Which domains have mail refused that a list sends in their name (DMARC, RFC 7489).

For `lamson.lists`. What a list passes on comes from the list's servers, so SPF proves nothing for
the author's domain, and a DKIM signature may not survive. A domain whose policy is quarantine or
reject asks others to refuse such mail. Where the DNS does not answer in time that is assumed, too:
a rewritten From is a nuisance, a refused post is lost. Answers are remembered for an hour.

A post waits in the transaction of its handler, which on SQLite holds the lock that all others wait
for, and whoever writes decides which servers are asked. So a thread asks, and goes on when the post
does not wait any more: the next one from there has the answer. Few ask at a time.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from lamson import log
from lamson.smtp.folding import written_domain
from lamson.smtp.organisation import organisational_domain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

KNOWN_FOR = 3600.0  # seconds
UNANSWERED_FOR = 60.0  # seconds for which a DNS that did not answer is not asked again
REMEMBERED = 4096  # domains
TIMEOUT = 2.0  # seconds for one question, all servers and attempts together
PATIENCE = 0.25  # seconds that a post waits for the answer
ASKED_AT_ONCE = 4  # domains; whoever is one too many has no answer
_MAX_RECORDS, _MAX_RECORD = 20, 2048  # that are looked at, and characters of one
_REFUSING = {"quarantine", "reject"}


class UnansweredError(Exception):
    """The DNS did not answer, or said that it cannot."""


class Resolver(Protocol):
    """Asks the DNS."""

    def __call__(self, name: str, timeout: float, /) -> Sequence[str]:
        """The TXT records of ``name``, none where there are none. Raises UnansweredError."""


def ask_dns(name: str, timeout: float) -> Sequence[str]:
    """The resolver that Lamson takes by default: dnspython, with the servers of this machine."""
    import dns.exception
    import dns.resolver

    try:
        answer = dns.resolver.resolve(name, "TXT", lifetime=timeout, search=False)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return ()
    except (dns.exception.DNSException, OSError, ValueError) as error:
        raise UnansweredError(f"{type(error).__name__}: {error}") from error
    return [
        b"".join(record.strings)[:_MAX_RECORD].decode("utf-8", "replace")
        for record in list(answer)[:_MAX_RECORDS]
    ]


@dataclass(slots=True)
class _Question:
    """What is asked. ``refuses`` is assumed until it ``is_over``; nobody waits beyond ``until``."""

    until: float
    refuses: bool = True
    is_over: threading.Event = field(default_factory=threading.Event)


class Policies:
    """What domains ask for, as far as it is known. For all threads of a process at once."""

    def __init__(
        self,
        resolver: Resolver = ask_dns,
        *,
        timeout: float = TIMEOUT,
        patience: float = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``timeout`` is for one question, in seconds, ``patience`` for whoever wants an answer."""
        self._resolver = resolver
        self._timeout = timeout
        self._patience = patience
        self._clock = clock
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[bool, float]] = OrderedDict()
        self._asking: dict[str, _Question] = {}

    def refuses(self, domain: str) -> bool:
        """Whether mail from ``domain`` that it has not sent itself is refused, or may be.

        Never raises, and takes no longer than ``patience``.
        """
        name = written_domain(domain).lower()
        if not name or not name.isascii() or name.startswith("["):
            return True
        with self._lock:
            if (known := self._remembered(name)) is not None:
                return known
            question = self._asking.get(name)
            if question is None:
                if len(self._asking) >= ASKED_AT_ONCE:
                    return True
                question = _Question(time.monotonic() + self._patience)
                try:
                    threading.Thread(target=self._ask, args=(name, question), daemon=True).start()
                except RuntimeError:  # no more threads
                    return True
                self._asking[name] = question
        if not question.is_over.wait(max(question.until - time.monotonic(), 0)):
            log.logger.warning(
                "the DMARC policy of %s is not known yet, so From is rewritten", name
            )
        return question.refuses

    def _remembered(self, name: str) -> bool | None:
        known = self._known.get(name)
        if known is None or self._clock() >= known[1]:
            return None
        self._known.move_to_end(name)
        return known[0]

    def _ask(self, name: str, question: _Question) -> None:
        """On a thread of its own."""
        refuses, lasting = True, UNANSWERED_FOR
        try:
            refuses, lasting = self._asked(name), KNOWN_FOR
        except Exception as error:  # noqa: BLE001 - a resolver may be anybody's
            log.logger.warning("the DMARC policy of %s is not known, so From is rewritten: %s",
                               name, error)  # fmt: skip
        with self._lock:
            self._known[name] = refuses, self._clock() + lasting
            self._known.move_to_end(name)
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
            del self._asking[name]
        question.refuses = refuses
        question.is_over.set()

    def _asked(self, name: str) -> bool:
        """By RFC 7489 section 6.6.3: the domain's own policy, else that of its organisation."""
        own = self._policy(name)
        if own is not None:
            return own.get("p", "none") in _REFUSING
        organisation = written_domain(organisational_domain(name)).lower()
        theirs = None if organisation == name else self._policy(organisation)
        if theirs is None:
            return False
        return theirs.get("sp", theirs.get("p", "none")) in _REFUSING

    def _policy(self, name: str) -> dict[str, str] | None:
        """The tags of the single record; None where there is none, or several."""
        if len(name) > 245:  # with the label in front of it longer than names are
            return None
        records = self._resolver(f"_dmarc.{name}", self._timeout)
        found = [tags for one in records[:_MAX_RECORDS] if (tags := _tags(one[:_MAX_RECORD]))]
        return found[0] if len(found) == 1 else None


def _tags(record: str) -> dict[str, str]:
    """Those of a DMARC record (section 6.3); none for any other record."""
    version, _, rest = record.partition(";")
    if version.replace(" ", "").replace("\t", "") != "v=DMARC1":
        return {}
    tags = {"v": "DMARC1"}
    for one in rest.split(";"):
        name, _, value = one.partition("=")
        tags.setdefault(name.strip().lower(), value.strip().lower())
    return tags
