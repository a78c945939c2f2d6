"""Our domains: whether Postfix can be told which they are, and takes them for nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson.errors import RouteError
from lamson.postfix import match_list
from lamson.postfix.checks import on_the_way
from lamson.postfix.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamson.postfix.site import Site

_OTHER_CLASSES = ("mydestination", "virtual_alias_domains", "virtual_mailbox_domains")


def told(site: Site) -> Iterator[Finding]:
    """Postfix can be told of each route which domains it makes ours."""
    for route in () if site.domains.declared else site.domains.for_anybody:
        yield Finding(
            "route-for-any-domain",
            f"{route.file}:{route.line}: {route.format!r} takes mail for any domain",
            "it makes no domain ours, so that Postfix cannot be told",
            "give its host a pattern, or name the domains in the setting domains",
        )
    try:
        site.domains.complete()
    except RouteError as problem:
        if not site.domains.for_anybody:
            yield Finding(
                "domains-without-end",
                str(problem),
                "Postfix cannot be told which domains are ours",
                "give the host a pattern, or name the domains in the setting domains",
            )


def classes(site: Site) -> Iterator[Finding]:
    """A domain is of one address class alone (ADDRESS_CLASS_README)."""
    for name in _OTHER_CLASSES:
        value = site.get(name)
        for domain in sorted(site.domains.listed):
            word = match_list.deciding(site, name, value, domain)
            if word is None or word.startswith("!"):
                continue
            brings = f"is in {name}" if word.lower() == domain else f"is in {word} of {name}"
            yield Finding(
                f"{name}-has-ours",
                f"{domain} {brings} as well as in relay_domains",
                "Postfix then looks for its recipients among its own, and bounces our mail",
                _without(site, name, word, domain),
            )
        for service, own in on_the_way.overrides(site, name):
            words = (match_list.deciding(site, name, own, one) for one in site.domains.listed)
            if word := next((one for one in words if one and not one.startswith("!")), None):
                yield Finding(
                    f"{name}-has-ours",
                    f"master.cf has {name} with {word} for {service.key}",
                    "Postfix then looks for our recipients among its own, and bounces our mail",
                    f"by hand: {word} is not for {name} of {service.key}",
                )


def _without(site: Site, name: str, word: str, domain: str) -> str:
    if not _has_it_itself(site, word, domain):
        return f"by hand: {word} in {name} has more than {domain}; name there what is to stay"
    if word.startswith("/") or match_list.TABLE.match(word):
        return site.mend.without_key(name, word, domain)
    if word not in site.written(name):
        return f"by hand: {name} has a macro that stands for several domains, {word} among them"
    return site.leave_out(name, word)


def _has_it_itself(site: Site, word: str, domain: str) -> bool:
    """The word is the domain, or names a table or a file that has it, and not a parent of it."""
    if match_list.TABLE.match(word):
        return bool(site.answers(word, domain, lambda one: [one]))
    return domain in map(str.lower, match_list.items(word))
