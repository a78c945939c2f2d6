"""relay_recipient_maps: our map asked about our domains alone, what others have there as it was.

It is one list for all relay domains. Where it is empty, smtpd takes every recipient of all of
them; the first map in it closes the others, and a map that does not answer has smtpd defer mail
for whomever it is asked about. So ours stands behind a filter (pipemap, Postfix 3.0), and where
there was no list a table before it says OK for all that is not ours. From 3.7 on both are written
out in main.cf; before, they are files in `DIRECTORY` beside it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lamson.postfix import match_list, ours
from lamson.postfix.expression import literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lamson.postfix.site import Site

DIRECTORY = "lamson"  # below Postfix's configuration, where only root writes
_OTHERS = "others"  # the file that says OK for all that is nobody's of ours
_INLINE_SINCE = (3, 7)
_STRANGER = "lamson-check@relay-probe.invalid"
_RULE = re.compile(r"(!?)/(.*)/ +(\S+)")
_LISTED = re.compile(r"\(?((?:(?:\[@\.\]|@)[^][()|*+?@]+\|?)+)\)?\$")


@dataclass(frozen=True, slots=True)
class Recipients:
    """``items`` of the list as they should be, as main.cf has them; ``files`` that they name."""

    items: list[str]
    files: dict[Path, str]


@dataclass(frozen=True, slots=True)
class _Rule:
    """A table that has one rule: ``says`` for what the expression matches, or does not."""

    expression: str
    is_negated: bool
    says: str

    def matches(self, address: str) -> bool:
        return bool(re.search(self.expression, address, re.IGNORECASE)) != self.is_negated

    @property
    def left_out(self) -> list[str] | None:
        """What it says OK for all but, where it is of our writing: ``@x\\.test``."""
        found = _LISTED.fullmatch(self.expression) if self.is_negated else None
        return found[1].split("|") if found else None


def wanted(site: Site, there: Sequence[str]) -> Recipients:
    """The list in place of the one that is there; the same where that will do.

    Raises RouteError where our domains cannot be listed.
    """
    domains = site.domains.complete()
    own = ours.is_recipients(site)
    files: dict[Path, str] = {}
    items: list[str] = []
    is_new = not any(map(own, there))
    is_shared = are_others_seen(site)
    for item in there:
        rule = _rule(site, item)
        if own(item):
            fits = _fits(site, item, domains) if ours.piped(item) else not is_shared
            items.append(item if fits else _filtered(site, item, domains, files))
        elif rule is not None and rule.matches(_STRANGER):
            lacking = [one for one in domains if rule.matches(f"lamson-check@{one}")]
            items.append(_opened(site, item, rule, _ends(site, lacking, is_new=is_new), files))
        else:
            items.append(item)
    if is_new:
        items.append(_filtered(site, ours.recipients(site), domains, files))
    if not there or (is_shared and len(there) == 1 and own(there[0])):
        items.insert(0, _open(site, _ends(site, domains, is_new=is_new), files))
    return Recipients(items, files)


def is_opening(site: Site, item: str) -> bool:
    """It is a table of our writing that leaves all others' recipients as they are."""
    rule = _rule(site, item)
    return rule is not None and rule.left_out is not None


def is_asked_for_us(site: Site, item: str) -> bool:
    """Postfix asks this table about our domains, too: no filter keeps them from it."""
    tables = ours.piped(item)
    rule = _rule(site, tables[0]) if tables else None
    return rule is None or any(rule.matches(f"x@{one}") for one in site.domains.listed)


def are_others_seen(site: Site) -> bool:
    """relay_domains has a domain that is not ours. A table that cannot be listed tells of none."""
    is_ours = ours.is_domains(site)
    for item in match_list.items(site.get("relay_domains")):
        name = item.removeprefix("!")
        if item.startswith("!") or is_ours(name):
            continue
        keys = site.maps.keys(name) if match_list.TABLE.match(name) else {name}
        if not {key.lower().lstrip(".") for key in keys} <= site.domains.listed:
            return True
    return False


def _fits(site: Site, item: str, domains: Iterable[str]) -> bool:
    """The filter of the item lets all of our domains pass, and nobody else."""
    table = ours.piped(item)[0]
    rule = _rule(site, table)
    if rule is None:  # of another's writing, who will know; or a file of ours that is gone
        return Path(table.partition(":")[2]).parent != site.configuration.directory / DIRECTORY
    return not rule.matches(_STRANGER) and all(rule.matches(f"x@{one}") for one in domains)


def _rule(site: Site, item: str) -> _Rule | None:
    """What a table says that has one rule only, in main.cf or in a file of ours."""
    kind, _, place = ours.plain(item).partition(":")
    if kind not in ("regexp", "pcre"):
        return None
    inline = re.fullmatch(r"\{ *\{ *(.*?) *\} *\}", place)
    path = Path(place)
    if inline is not None:
        text = inline[1]
    elif path.parent == site.configuration.directory / DIRECTORY and path.is_file():
        text = path.read_text(errors="replace").rstrip("\n").rpartition("\n")[2]
    else:
        return None
    found = _RULE.fullmatch(text)
    try:
        return _Rule(found[2], bool(found[1]), found[3]) if found and re.compile(found[2]) else None
    except re.error:
        return None


def _opened(
    site: Site, item: str, rule: _Rule, lacking: Sequence[str], files: dict[Path, str]
) -> str:
    """The table that says OK for others, with what it does not leave out yet of ours."""
    left_out = rule.left_out
    if left_out is None or not lacking:
        return item
    return _open(site, [*left_out, *lacking], files)


def _open(site: Site, ends: Sequence[str], files: dict[Path, str]) -> str:
    return _table(site, _OTHERS, f"!/{_one_of(ends)}$/ OK", files)


def _ends(site: Site, domains: Iterable[str], *, is_new: bool) -> list[str]:
    """How an address in our domains ends. One below them too, unless it was another's before us
    (``is_new``): relay_domains has what is below a domain as well, which is not to open by that."""
    value, found = site.get("relay_domains"), []
    for domain in domains:
        word = match_list.deciding(site, "relay_domains", value, f"lamson-check.{domain}")
        is_others = bool(word) and not str(word).startswith("!")
        if is_others and not is_new:
            name = str(word).lower().lstrip(".")
            is_others = not match_list.TABLE.match(name) and name not in site.domains.listed
        found.append(("@" if is_others else "[@.]") + _literal(domain))
    return found


def _filtered(site: Site, item: str, domains: Iterable[str], files: dict[Path, str]) -> str:
    """The map behind a filter for our domains."""
    asked = (ours.piped(item) or [item])[-1]
    proxy = "proxy:" if item.startswith("proxy:") else ""
    names = list(domains)
    rule = f"/^(.*@{_one_of([_literal(one) for one in names])})$/ $1"
    table = _table(site, min(names, default="nobody"), rule, files)
    return f"{proxy}pipemap:{{{table}, {asked.removeprefix('proxy:')}}}"


def _table(site: Site, name: str, rule: str, files: dict[Path, str]) -> str:
    """A table with this rule: written out, or as a file where this Postfix needs one."""
    if takes_inline(site):
        return f"regexp:{{{{{rule.replace('$', '$$')}}}}}"
    path = site.configuration.directory / DIRECTORY / name
    files[path] = f"# Made by: lamson postfix apply\n{rule}\n"
    return f"regexp:{path}"


def takes_inline(site: Site) -> bool:
    """This Postfix takes regular expressions that are written out in main.cf."""
    version = re.match(r"(\d+)\.(\d+)", site.get("mail_version"))
    return version is None or tuple(map(int, version.groups())) >= _INLINE_SINCE


def _one_of(expressions: Sequence[str]) -> str:
    return expressions[0] if len(expressions) == 1 else f"({'|'.join(expressions)})"


def _literal(text: str) -> str:
    return literal(text).decode()
