"""The mail domains of an application, worked out from its routes.

For the socketmap's map `domain`, for the tables that are generated for Postfix, and for the rule
that mail goes out with an envelope sender of our own. A domain is ours if the setting `domains`
names it or if a route can match an address in it. Most routes end with a few domains, which can
be listed; those of a route such as ``(user)@[a-z]+\\.test\\.com`` can only be recognised. A route
that takes mail for every domain there is makes no domain ours: Postfix would relay for the world.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, NamedTuple

from lamson.errors import RouteError
from lamson.routing import syntax
from lamson.routing.automaton import Automaton
from lamson.routing.syntax import SyntaxUnknown
from lamson.routing.tail import MOST, items_of, listed, tails_of
from lamson.smtp import folding

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lamson.routing.router import Route
    from lamson.routing.syntax import Node

_REMEMBERED = 10_000  # domains asked for

# Nobody writes a pattern for these: what matches both of a pair matches anything, the second one
# what matches any name without digits and hyphens.
_ANYTHING = (("xn--lamson-0123456789.invalid", "qzx.wvk-17.example"), ("qzx.wvk", "wvk.qzj"))


class _Open(NamedTuple):
    """A route whose domains cannot be listed, and what its address ends with, from the @ on."""

    route: Route
    tail: Automaton | None  # None where it is for any domain, or cannot be described
    why: str


class Domains:
    """The domains of ``routes``, and ``declared`` ones besides."""

    def __init__(self, routes: Sequence[Route], declared: Iterable[str] = ()) -> None:
        self.declared = frozenset(map(folding.written_domain, declared))
        found = set(self.declared)
        self._open: list[_Open] = []
        known: dict[Node, frozenset[str] | tuple[Automaton | None, str]] = {}
        for route in routes:
            try:
                tails = tails_of(route.pattern)
            except SyntaxUnknown as unknown:
                self._open.append(_Open(route, None, str(unknown)))
                continue
            for tail in tails:
                if tail not in known:
                    known[tail] = listed(tail) or _recognised(tail)
                domains = known[tail]
                if isinstance(domains, frozenset):
                    found.update(map(folding.written_domain, domains))
                else:
                    self._open.append(_Open(route, *domains))
        self.listed = frozenset(found) | frozenset(map(folding.u_labels, found))
        """All domains that can be listed, in lower case; those with U-labels with A-labels, too.

        Postfix knows nothing of that these are one: its own tables need both.
        """
        self._automata = list({id(one.tail): one.tail for one in self._open if one.tail}.values())
        self.holds = functools.lru_cache(_REMEMBERED)(self._holds)
        """Whether a domain is ours: ``holds(domain)``. Takes microseconds for one asked before."""

    def _holds(self, domain: str) -> bool:
        domain = folding.fold_domain(domain)
        if domain in self.listed:
            return True
        # Who names the domains means these, whatever else the pattern of a host would take.
        forms = () if self.declared else dict.fromkeys((domain, folding.u_labels(domain)))
        return any(one.matches(form) for form in forms for one in self._automata)

    def complete(self) -> tuple[str, ...]:
        """All domains, sorted, where they can be listed.

        Raises RouteError for the first route of which they cannot, unless the setting `domains`
        says which there are.
        """
        if self._open and not self.declared:
            route, _, why = self._open[0]
            raise RouteError(
                f"the domains of {route.format!r} are no finite list ({why}); give its host a"
                r" pattern such as (test\.com|test\.org), or name the domains in the setting"
                " domains",
                file=route.file,
                line=route.line,
            )
        return tuple(sorted(self.listed))

    @property
    def unlisted(self) -> tuple[tuple[Route, str], ...]:
        """The routes whose domains cannot be listed, and why, in words."""
        return tuple((one.route, one.why) for one in self._open)

    @property
    def for_anybody(self) -> tuple[Route, ...]:
        """The routes that make no domain ours since they take any, or cannot be understood."""
        return tuple(one.route for one in self._open if one.tail is None)


def _recognised(tail: Node) -> tuple[Automaton | None, str]:
    automaton = Automaton(tail)
    if any(all(map(automaton.matches, pair)) for pair in _ANYTHING):
        return None, "it takes any domain"
    if syntax.ANY in items_of(tail):
        return automaton, "its . stands for any character; a dot is written \\."
    return automaton, f"more than {MOST} are possible"
