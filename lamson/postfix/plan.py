"""The plan: what has to change in main.cf and master.cf for a project.

Nothing is changed here: that is for `lamson.postfix.apply`. To a list ours is added, and what is
there stays as it is written, macros and all; one over several lines comes to be one line. Where
something that somebody composed with ``$`` would have to be replaced, it is left alone and named:
it is not for us to guess.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lamson.postfix import match_list, reachability, recipients, transport
from lamson.postfix.configuration import bare, option, words
from lamson.postfix.expression import literal
from lamson.postfix.ours import plain
from lamson.postfix.wanted import ACTION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lamson.postfix.site import Site
    from lamson.postfix.submission import WantedService
    from lamson.postfix.want import Want

TABLE = "table"
FILES = (TABLE, "main.cf", "master.cf")
_BY_ADDRESS = re.compile(r"regexp:\{\{/\^\(\.\*@\)\?\(([^()]*)\)\$\$/ ")
_COMPOSED = "the value has a $ macro"


@dataclass(frozen=True, slots=True)
class Change:
    """One line to change. ``before`` is None where there is none; ``doubt`` why we do not.

    Of a table, ``name`` is its path, and ``before`` and ``after`` all of its text.
    """

    file: str  # one of FILES
    name: str
    before: str | None
    after: str
    why: str
    doubt: str = ""

    @property
    def is_override(self) -> bool:
        """It is ``service/type/parameter`` of master.cf."""
        return self.file == "master.cf" and self.name.count("/") > 1

    def __str__(self) -> str:
        is_named = self.file == "main.cf" or self.is_override
        head = f"{self.name} = " if is_named else ""
        lines = [f"# {self.why}"]
        if self.doubt:
            lines.append(f"# not done by apply: {self.doubt}")
        if self.before is not None:
            lines += [f"-{head}{line}" for line in self.before.split("\n")]
        return "\n".join([*lines, *(f"+{head}{line}" for line in self.after.split("\n"))])


def make(site: Site, main: Sequence[Want], master: Sequence[WantedService]) -> list[Change]:
    """What has to change for the wants to be fulfilled; [] where nothing has."""
    configuration = site.configuration
    changes = []
    for want in main:
        before = configuration.explicit.get(want.name)
        found = _after(site, want, before)
        if found is None:
            changes += _files(site, want)
            continue
        after, doubt = found
        doubt = f"{doubt}; change it by hand" if doubt else ""
        changes += [] if doubt else _files(site, want)
        changes.append(Change("main.cf", want.name, before, after, want.why, doubt))
    for service in master:
        known = site.services.get(service.key)
        if known is None:
            changes.append(
                Change("master.cf", service.key, None, service.entry, service.why, service.doubt)
            )
        elif known.program not in service.programs:
            doubt = f"another service, {known.program}, has this address"
            changes.append(
                Change("master.cf", service.key, known.entry, service.entry, service.why, doubt)
            )
        elif service.taken:
            doubt = service.taken
            changes.append(
                Change("master.cf", service.key, known.entry, service.entry, service.why, doubt)
            )
        else:
            for want in transport.lacking(site, known, service.options):
                name, own = f"{service.key}/{want.name}", known.options.get(want.name)
                changes.append(
                    Change("master.cf", name, own, want.value, want.why, service.reserve)
                )
    return _together(changes, transport.of(site).key)


def chosen(site: Site, changes: Sequence[Change], names: Sequence[str]) -> list[Change]:
    """Those of these names alone, with the tables that they name; all where there are none.

    What would do harm without another that is not among them is in doubt.
    """
    if not names:
        return list(changes)
    values = [site.get(name) for name in names]
    values += [one.after for one in changes if one.name in names]
    asked = {one.name for one in changes if one.name in names}
    asked |= {one.name for one in changes if one.file == TABLE and one.name in " ".join(values)}
    others = [one for one in changes if one.name not in asked]
    left = [replace(one, doubt=one.doubt or "it was not asked for") for one in others]
    together = _together(
        [*(one for one in changes if one.name in asked), *left], transport.of(site).key
    )
    return [one for one in together if one.name in asked]


def _together(changes: list[Change], key: str) -> list[Change]:
    """What would do harm without another line is left with it: mail must not be taken for our
    domains as long as Postfix would bring it elsewhere, or take it for anybody."""
    for name, needed in (
        ("transport_maps", (key,)),
        ("relay_domains", ("transport_maps", "relay_recipient_maps")),
    ):
        left = [one.name for one in changes if one.doubt and one.name in needed]
        if left:
            doubt = f"{' and '.join(left)} has to be changed before, which is left to you"
            changes = [
                replace(one, doubt=doubt) if one.name == name and not one.doubt else one
                for one in changes
            ]
    return changes


def _files(site: Site, want: Want) -> list[Change]:
    """The files that the new value names, where they are not as they should be."""
    if want.rewrite is None:
        return []
    found = want.rewrite(words(site.get(want.name))).files
    why = f"{want.name} names it: this Postfix takes no tables that are written out in main.cf"
    texts = {path: path.read_text() if path.is_file() else None for path in found}
    return [
        Change(TABLE, str(path), texts[path], text, why)
        for path, text in found.items()
        if texts[path] != text
    ]


def _after(site: Site, want: Want, before: str | None) -> tuple[str, str] | None:
    """The new value, and why we doubt it, if we do; None where the old one will do."""
    effective = site.value(want.name)
    if effective is None and want.otherwise:
        effective = site.value(want.otherwise)  # the service of this name is yet to come
    if effective is None or is_met(site, want, effective):
        return None
    if not want.is_list:
        is_usual = before is None or before == site.configuration.defaults.get(want.name)
        return want.value, "" if is_usual or "$" not in str(before) else _COMPOSED
    listed = words(_as_written(site, want.name, before))
    if want.rewrite is not None:
        asked = map(bare, words(effective))
        is_there = want.will_do is not None and any(map(want.will_do, asked))
        # Where it is there, what else is in the list has been borne so far.
        spoilt, doubt = ("", "") if is_there else _spoilt(site, want, effective)
        there = [one for one in words(effective) if bare(one) != spoilt]
        # What stays is left as it is written: with its macros, and each dollar twice.
        items = want.rewrite(there).items
        if len(listed) != len(words(effective)):  # a macro stands for several
            if spoilt or list(items[: len(there)]) != there:
                return ", ".join(items), doubt or _COMPOSED
            return ", ".join([*listed, *items[len(there) :]]), doubt
        as_written = dict(zip(words(effective), listed, strict=True))
        return ", ".join(as_written.get(one, one) for one in items), doubt
    there = [bare(one) for one in words(effective)]
    if want.answers and any(site.lookup(there, domain) for domain, _ in want.answers):
        # Another map comes first, or ours is of another time.
        ours = {domain for domain, _ in want.answers}
        others = [one for one in listed if not _keys_of_ours(one) <= ours]
        items = [want.value, *others]
        if _has_addresses(site, want, there) and recipients.takes_inline(site):
            items[0] = _by_address(want)
        doubt = "another table in it answers for every address" if items == listed else ""
        return ", ".join(items), doubt
    missing = _missing(site, want, effective)
    spoilt, doubt = _spoilt(site, want, effective)
    kept = [one for one in listed if bare(one) != spoilt]
    return ", ".join([*kept, *missing]), doubt


def _as_written(site: Site, name: str, before: str | None) -> str:
    """What the list is now: what Postfix takes where main.cf says nothing stays in it, too."""
    if before is not None:
        return before
    effective = site.get(name)
    # Up to level 2 relay_domains is mydestination, and their subdomains are relayed.
    return "$mydestination" if effective == site.get("mydestination") and effective else effective


def is_met(site: Site, want: Want, effective: str) -> bool:
    """The value, of main.cf or of an override in master.cf, will do. ``$`` is expanded in it."""
    if not want.is_list:
        return want.is_met_by(effective)
    if want.rewrite is not None:
        there = words(effective)
        return list(map(plain, want.rewrite(there).items)) == list(map(plain, there))
    if want.answers:
        there = [bare(one) for one in words(effective)]
        usual = site.get(want.otherwise) if want.otherwise else ""
        return all(
            _is_one_hop(site.lookup(there, domain) or usual, answer)
            for domain, answer in want.answers
        )
    return not _missing(site, want, effective)


def _missing(site: Site, want: Want, effective: str) -> list[str]:
    """What the list is without."""
    there = [bare(one) for one in words(effective)]
    if want.will_do is not None and any(map(want.will_do, there)):
        return []
    if want.has_domains:
        decided = {
            one: match_list.deciding(site, want.name, effective, one) for one in words(want.value)
        }
        return [one for one, word in decided.items() if word is None or word.startswith("!")]
    # A table may be asked through proxymap(8): where smtpd is chrooted, and the socket outside.
    known = {*there, *(one.removeprefix("proxy:") for one in there)}
    return [one for one in words(want.value) if one not in known]


def _spoilt(site: Site, want: Want, effective: str) -> tuple[str, str]:
    """The item because of which it would not help to add to the list, and why; else nothing."""
    if want.has_domains:
        for domain in words(want.value):
            word = match_list.deciding(site, want.name, effective, domain)
            if word is not None and word.startswith("!"):
                return word, f"{word} in it leaves {domain} out"
        return "", ""
    for one in words(effective):
        item = bare(one)
        if (option(one, ACTION) or site.get("milter_default_action")) == "accept" and (
            want.name == "smtpd_milters"
        ):
            continue  # mail passes without it
        if not recipients.is_asked_for_us(site, item):
            continue
        if problem := reachability.why(item, site.get("queue_directory")):
            return item, (
                f"{item} in it does not answer ({problem}), and Postfix then defers all mail,"
                " whatever else is in it"
            )
    return "", ""


def _is_one_hop(one: str, other: str) -> bool:
    names, places = zip(*(hop.partition(":")[::2] for hop in (one, other)), strict=True)
    return len(set(names)) == 1 and transport.is_one_place(*places)


def _has_addresses(site: Site, want: Want, maps: Sequence[str]) -> bool:
    """One of the maps answers for any address in our domains, whatever others have for these."""
    return any(
        site.answers(one, domain, _address).get(_address(domain)[0], answer) != answer
        for one in maps
        for domain, answer in want.answers
    )


def _address(domain: str) -> tuple[str]:
    return (f"lamson-check@{domain}",)


def _by_address(want: Want) -> str:
    """A map of ours that does so as well, and comes first."""
    domains = "|".join(literal(domain).decode() for domain, _ in want.answers)
    return f"regexp:{{{{/^(.*@)?({domains})$$/ {want.answers[0][1]}}}}}"


def _keys_of_ours(table: str) -> set[str]:
    """The domains for which a table has been written out, as we do it: ``inline:{key=value …}``,
    or `_by_address`; one that there cannot be for another table."""
    if found := _BY_ADDRESS.match(table):
        return set(found[1].replace("\\", "").split("|"))
    if not table.startswith("inline:{"):
        return {""}
    return set(re.findall(r"([^\s{},=]+)\s*=", table))
