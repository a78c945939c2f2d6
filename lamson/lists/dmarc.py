"""Which domains have mail refused that a list sends in their name (DMARC, RFC 7489).

For `lamson.lists`. What a list passes on comes from the list's servers, so SPF proves nothing for
the author's domain, and a DKIM signature may not survive. A domain whose policy is quarantine or
reject asks others to refuse such mail. Where the DNS does not answer in time that is assumed, too:
a rewritten From is a nuisance, a refused post is lost. Answers are remembered for an hour.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
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


class Policies:
    """What domains ask for, as far as it is known. For all threads of a process at once."""

    def __init__(
        self,
        resolver: Resolver = ask_dns,
        *,
        timeout: float = TIMEOUT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._resolver = resolver
        self._timeout = timeout
        self._clock = clock
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[bool, float]] = OrderedDict()

    def refuses(self, domain: str) -> bool:
        """Whether mail from ``domain`` that it has not sent itself is refused, or may be.

        Never raises, and takes twice the time of one question at most.
        """
        name = written_domain(domain).lower()
        if not name or not name.isascii() or name.startswith("["):
            return True
        now = self._clock()
        with self._lock:
            known = self._known.get(name)
            if known is not None and now < known[1]:
                self._known.move_to_end(name)
                return known[0]
        try:
            refuses, lasting = self._asked(name), KNOWN_FOR
        except UnansweredError as error:
            log.logger.warning("the DMARC policy of %s is not known, so From is rewritten: %s",
                               name, error)  # fmt: skip
            refuses, lasting = True, UNANSWERED_FOR
        with self._lock:
            self._known[name] = refuses, self._clock() + lasting
            self._known.move_to_end(name)
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return refuses

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
