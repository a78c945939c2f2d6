"""The restrictions of smtpd(8), gone through as it does, for a transaction that is made up.

For `access`. Looked at are access tables, and the words whose answer can be known: what would have
to be asked of DNS, of a policy server or of a filter lets the mail pass here. Source: access(5),
SMTPD_ACCESS_README.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from lamson.postfix.checks import action
from lamson.postfix.checks.action import DEFERRED, REFUSED, Effect
from lamson.postfix.configuration import bare, words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lamson.postfix.configuration import Service
    from lamson.postfix.site import Site

LISTS = (
    "smtpd_client_restrictions",
    "smtpd_helo_restrictions",
    "smtpd_sender_restrictions",
    "smtpd_relay_restrictions",
    "smtpd_recipient_restrictions",
    "smtpd_data_restrictions",
    "smtpd_end_of_data_restrictions",
)
NULL_SENDER = ("",)  # as bounces have it
_PATTERNS = ("regexp", "pcre", "cidr")  # which are asked about the whole only
_TABLES = re.compile(r"check_(client|reverse_client_hostname|helo|sender|recipient)_access")
_WITH_VALUE = re.compile(
    r"check_.*_access|check_policy_service|check_etrn_access|(reject|permit)_(rbl|rhsbl|dnswl|rhswl)"
    r"_.*|sleep"
)
# Who comes by one of these is chosen: where it stands before a reject, not all are refused.
_CHOOSING = re.compile(r"check_.*|permit_(tls|dnswl|rhswl|naked|mx).*")
_MOST_CLASSES = 10  # classes within classes


@dataclass(frozen=True, slots=True)
class Transaction:
    """Who sends what to whom. Of ``clients`` (each with all its names), ``helos`` and ``senders``
    each is as likely as the next: a table has to answer the same for all of them to be of effect.

    ``is_trusted``: permit_mynetworks lets it pass; ``is_relayed``: the recipient is not ours.
    """

    clients: Sequence[tuple[str, ...]]
    helos: Sequence[str]
    senders: Sequence[str]
    recipient: str
    is_trusted: bool
    is_authenticated: bool = False
    is_relayed: bool = False
    has_tls: bool = False


class Verdict(NamedTuple):
    """``restriction`` in the list ``name`` decides; ``asked`` is what its table was asked about."""

    effect: Effect
    name: str
    restriction: str
    asked: str
    is_of_all: bool = False
    """Nobody is let in by this list but whom permit_mynetworks or a login has let in before."""


class _Permitted(Exception):
    """The list ends here, and well."""


def verdicts(site: Site, service: Service, transaction: Transaction) -> Iterator[Verdict]:
    """What each list of the service has against it."""
    for name in LISTS:
        try:
            yield from _Walk(site, name, transaction).through(
                words(site.effective(service, name)), _MOST_CLASSES
            )
        except _Permitted:
            continue


@dataclass(slots=True)
class _Walk:
    site: Site
    name: str
    transaction: Transaction
    is_chosen: bool = False

    def through(self, listed: Sequence[str], depth: int) -> Iterator[Verdict]:
        """Each verdict up to the first that ends the list."""
        rest = iter(listed)
        classes = words(self.site.get("smtpd_restriction_classes"))
        for word in rest:
            plain = word.lower()
            if plain == "warn_if_reject":
                if _WITH_VALUE.fullmatch(next(rest, "").lower()):
                    next(rest, None)
            elif word in classes and depth:
                yield from self.through(words(self.site.get(word)), depth - 1)
            elif _WITH_VALUE.fullmatch(plain):
                yield from self._asked(plain, next(rest, ""), depth)
            elif self._permits(plain):
                raise _Permitted
            elif (found := self._refuses(plain)) is not None:
                is_of_all = plain in ("reject", "defer") and not self.is_chosen
                yield Verdict(found, self.name, word, "", is_of_all)
                raise _Permitted
            self.is_chosen = self.is_chosen or bool(_CHOOSING.fullmatch(plain))

    def _permits(self, word: str) -> bool:
        one = self.transaction
        return (
            word == "permit"
            or (word == "permit_mynetworks" and one.is_trusted)
            or (word == "permit_inet_interfaces" and one.is_trusted)
            or (word == "permit_sasl_authenticated" and one.is_authenticated)
            or (word == "permit_auth_destination" and not one.is_relayed)
        )

    def _refuses(self, word: str) -> Effect | None:
        one = self.transaction
        if word == "reject" or (word == "reject_unauth_destination" and one.is_relayed):
            return REFUSED
        if word == "defer" or (word == "defer_unauth_destination" and one.is_relayed):
            return DEFERRED
        if word == "reject_plaintext_session" and not one.has_tls:
            return REFUSED
        has_no_dot = all("." not in helo for helo in one.helos)
        if word in ("reject_non_fqdn_helo_hostname", "reject_non_fqdn_hostname") and has_no_dot:
            return REFUSED
        return None

    def _asked(self, word: str, table: str, depth: int) -> Iterator[Verdict]:
        found, table = _TABLES.fullmatch(word), bare(table)
        if found is None or ":" not in table:
            return
        likely = self._keys(found[1], table)
        answers = {self._answer(table, keys) for keys in likely}
        answer = answers.pop() if len(answers) == 1 else None
        if answer is None:
            return
        if (effect := action.effect(answer, self.site.services)) is not None:
            asked = likely[0][0] if len(likely) == 1 else "everybody"
            yield Verdict(effect, self.name, f"{word} {table}", asked)
            raise _Permitted
        if action.permits(answer):
            raise _Permitted
        if depth and action.first_word(answer) not in ("DUNNO", "FILTER"):
            yield from self.through(words(answer), depth - 1)

    def _answer(self, table: str, keys: Sequence[str]) -> str | None:
        found = self.site.maps.answers(table, keys)
        return next((found[key] for key in keys if key in found), None)

    def _keys(self, what: str, table: str) -> list[list[str]]:
        one = self.transaction
        is_whole = table.removeprefix("proxy:").partition(":")[0] in _PATTERNS
        if what in ("sender", "recipient"):
            addresses = one.senders if what == "sender" else [one.recipient]
            if addresses == NULL_SENDER:
                return [[self.site.get("smtpd_null_access_lookup_key")]]
            return [[each] if is_whole else _of_address(self.site, each) for each in addresses]
        hosts = [(helo,) for helo in one.helos] if what == "helo" else one.clients
        parts = (lambda name: [name]) if is_whole else _of_host
        return [[key for name in names for key in parts(name)] for names in hosts]


def _of_address(site: Site, address: str) -> list[str]:
    """As access(5) has it: the address, without its extension, its domain and those above it."""
    local, _, domain = address.rpartition("@")
    forms = [local]
    for sign in site.get("recipient_delimiter"):
        name, has, _ = local.partition(sign)
        forms += [name] if has and name else []
    return [*(f"{one}@{domain}" for one in forms), *_of_host(domain), *(f"{one}@" for one in forms)]


def _of_host(host: str) -> list[str]:
    """A name and the domains that it is in, with a dot and without; an address and its networks."""
    if re.fullmatch(r"[\d.]+", host):
        octets = host.split(".")
        return [".".join(octets[:count]) for count in range(len(octets), 0, -1)]
    labels = host.split(".")
    above = [".".join(labels[number:]) for number in range(1, len(labels))]
    return [host, *(form for one in above for form in (one, f".{one}"))]
