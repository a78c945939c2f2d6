"""The plan: what has to change in main.cf and master.cf; its carrying out, and its undoing.

`make` only reads. `carry_out` writes with postconf alone, after a rollback file with which
`undo` restores what was there before. A value that somebody composed with ``$`` or over several
lines, and that would have to be changed, is left alone and named: it is not for us to guess.
"""

from __future__ import annotations

import json
import os
import re
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from lamson.errors import LamsonError
from lamson.postfix import match_list, reachability
from lamson.postfix.postconf import words

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lamson.postfix.postconf import Postconf
    from lamson.postfix.submission import WantedService
    from lamson.postfix.wanted import Want

FILES = ("main.cf", "master.cf")


@dataclass(frozen=True, slots=True)
class Change:
    """One line to change. ``before`` is None where there is none; ``doubt`` why we do not."""

    file: str  # one of FILES
    name: str
    before: str | None
    after: str
    why: str
    doubt: str = ""

    def __str__(self) -> str:
        show = "{0}" if self.file == "master.cf" else f"{self.name} = {{0}}"
        lines = [f"# {self.why}"]
        if self.doubt:
            lines.append(f"# not done by apply: {self.doubt}")
        if self.before is not None:
            lines.append("-" + show.format(self.before))
        return "\n".join([*lines, "+" + show.format(self.after)])


def make(postconf: Postconf, main: Sequence[Want], master: Sequence[WantedService]) -> list[Change]:
    """What has to change for the wants to be fulfilled; [] where nothing has."""
    explicit = postconf.explicit()
    folded = _over_several_lines(postconf.where() / "main.cf")
    changes = []
    for want in main:
        before = explicit.get(want.name)
        found = _after(postconf, want, before)
        if found is None:
            continue
        after, doubt = found
        if before is not None and "$" in before and before != postconf.default(want.name):
            doubt = "the value has a $ macro"
        elif want.name in folded:
            doubt = "the value goes over several lines"
        doubt = f"{doubt}; change it by hand" if doubt else ""
        changes.append(Change("main.cf", want.name, before, after, want.why, doubt))
    services = postconf.services()
    for service in master:
        known = services.get(service.key)
        if known is None:
            changes.append(
                Change("master.cf", service.key, None, service.entry, service.why, service.doubt)
            )
        elif known.program != "smtpd":
            doubt = f"another service, {known.program}, has this address"
            changes.append(
                Change("master.cf", service.key, known.entry, service.entry, service.why, doubt)
            )
    return changes


def _after(postconf: Postconf, want: Want, before: str | None) -> tuple[str, str] | None:
    """The new value, and why we doubt it, if we do; None where the old one will do."""
    effective = postconf.value(want.name)
    # Without an lmtp service there is no lmtp_destination_..._limit.
    if effective is None or is_met(postconf, want, effective.strip()):
        return None
    if not want.is_list:
        return want.value, ""
    there = [bare(one) for one in words(effective)]
    if want.answers and any(postconf.lookup(there, domain) for domain, _ in want.answers):
        # Another map comes first, or ours is of another time.
        ours = {domain for domain, _ in want.answers}
        others = [one for one in words(before or "") if not _inline_keys(one) <= ours]
        after = ", ".join([want.value, *others])
        doubt = "another table in it answers for every address" if after == before else ""
        return after, doubt
    missing = _missing(postconf, want, effective)
    spoilt, doubt = _spoilt(postconf, want, effective)
    kept = [one for one in words(before or "") if bare(one) != spoilt]
    return ", ".join([*kept, *missing]), doubt


def is_met(postconf: Postconf, want: Want, effective: str) -> bool:
    """The value, of main.cf or of an override in master.cf, will do. ``$`` is expanded in it."""
    if not want.is_list:
        return want.is_met_by(effective)
    if want.answers:
        there = [bare(one) for one in words(effective)]
        usual = postconf.value(want.otherwise) if want.otherwise else None
        return all(
            _next_hop(postconf.lookup(there, domain) or usual or "") == _next_hop(answer)
            for domain, answer in want.answers
        )
    return not _missing(postconf, want, effective)


def _missing(postconf: Postconf, want: Want, effective: str) -> list[str]:
    """What the list is without."""
    there = [bare(one) for one in words(effective)]
    if want.will_do is not None and any(map(want.will_do, there)):
        return []
    if want.has_domains:
        decided = {
            one: match_list.deciding(postconf, want.name, effective, one)
            for one in words(want.value)
        }
        return [one for one, word in decided.items() if word is None or word.startswith("!")]
    # A table may be asked through proxymap(8): where smtpd is chrooted, and the socket outside.
    known = {*there, *(one.removeprefix("proxy:") for one in there)}
    return [one for one in words(want.value) if one not in known]


def _spoilt(postconf: Postconf, want: Want, effective: str) -> tuple[str, str]:
    """The item because of which it would not help to add to the list, and why; else nothing."""
    if want.has_domains:
        for domain in words(want.value):
            word = match_list.deciding(postconf, want.name, effective, domain)
            if word is not None and word.startswith("!"):
                return word, f"{word} in it leaves {domain} out"
        return "", ""
    for item in map(bare, words(effective)):
        if problem := reachability.why(postconf, item):
            return item, (
                f"{item} in it does not answer ({problem}), and Postfix then defers all mail,"
                " whatever else is in it"
            )
    return "", ""


def _next_hop(transport: str) -> str:
    """LMTP looks up no MX, so that brackets mean nothing to it, and ``inet:`` is the usual."""
    return transport.replace("lmtp:inet:", "lmtp:").replace("[", "").replace("]", "").lower()


def bare(item: str) -> str:
    """An item of a list without its own options: ``{ inet:…, default_action=accept }``."""
    return words(item[1:-1])[0] if item.startswith("{") and words(item[1:-1]) else item


def _inline_keys(table: str) -> set[str]:
    """The keys of a table ``inline:{key=value …}``; one that there cannot be for another table."""
    if not table.startswith("inline:{"):
        return {""}
    return set(re.findall(r"([^\s{},=]+)\s*=", table))


def _over_several_lines(main_cf: Path) -> set[str]:
    """The parameters whose values go on after a line end. Raises LamsonError."""
    try:
        text = main_cf.read_text(errors="replace")
    except OSError as error:
        raise LamsonError(f"{main_cf}: {error.strerror}") from None
    found, name = set(), ""
    for line in text.splitlines():
        if line[:1].isspace() and line.strip() and not line.lstrip().startswith("#"):
            found.add(name)
        elif setting := re.match(r"(\w+)\s*=", line):
            name = setting[1]
    return found


def carry_out(postconf: Postconf, changes: Sequence[Change], directory: Path) -> Path | None:
    """Make the changes; gives the rollback file, None where there was nothing to do.

    Raises LamsonError, before anything is changed, where one of them is in doubt; and where
    postconf fails. It then names the rollback file if something was changed before that; else there
    is none.
    """
    if doubtful := [change for change in changes if change.doubt]:
        one = doubtful[0]
        raise LamsonError(
            f"{one.file}: {one.name}: {one.doubt}; nothing was changed (lamson postfix plan shows"
            " what is wanted)"
        )
    if not changes:
        return None
    directory.mkdir(parents=True, exist_ok=True)
    rollback = directory / f"rollback-{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}.json"
    rollback.write_text(json.dumps([asdict(change) for change in changes], indent=1) + "\n")
    try:
        postconf.set({one.name: one.after for one in changes if one.file == "main.cf"})
        for change in changes:
            if change.file == "master.cf":
                postconf.set_service(change.name, change.after)
    except LamsonError as error:
        if not any(_is_made(change, now) for change, now in _as_now(postconf, changes)):
            rollback.unlink()
            raise
        raise LamsonError(
            f"{error}; to undo what was done before that: lamson postfix apply -undo {rollback}",
            exit_code=error.exit_code,
        ) from None
    return rollback


def undo(postconf: Postconf, rollback: Path) -> list[Change]:
    """Restore what `carry_out` found; gives the changes that were undone.

    What is as before, because `carry_out` did not get that far, is passed over. A value that was
    changed since then is left alone: LamsonError names it, and nothing is undone.
    """
    changes = []
    for change, now in _as_now(postconf, _recorded(rollback)):
        if _is_made(change, now):
            changes.append(change)
        elif _split(now) != _split(change.before):
            raise LamsonError(f"{change.name} was changed since, to {now}; nothing was undone")
    before = {one.name: one.before for one in changes if one.file == "main.cf"}
    postconf.set({name: value for name, value in before.items() if value is not None})
    postconf.unset([name for name, value in before.items() if value is None])
    for change in changes:
        if change.file == "master.cf":
            postconf.unset_service(change.name)
    return changes


def _recorded(rollback: Path) -> list[Change]:
    """What a file says that `carry_out` wrote; it writes none without a change."""
    try:
        recorded = json.loads(rollback.read_text())
        if not isinstance(recorded, list) or not recorded:
            raise ValueError("it is no list of changes")
        changes = [Change(**change) for change in recorded]
        for one in changes:
            texts = (one.name, one.after, one.before or "")
            if one.file not in FILES or not all(isinstance(text, str) for text in texts):
                raise ValueError(f"{one.name} is no change of ours")
    except (OSError, ValueError, TypeError) as error:
        raise LamsonError(f"{rollback}: no rollback file: {error}") from None
    return changes


def _as_now(postconf: Postconf, changes: Sequence[Change]) -> list[tuple[Change, str | None]]:
    """Each change, and what stands in its place now; None for nothing."""
    explicit, services = postconf.explicit(), postconf.services()
    entries = {key: service.entry for key, service in services.items()}
    return [
        (one, (explicit if one.file == "main.cf" else entries).get(one.name)) for one in changes
    ]


def _is_made(change: Change, now: str | None) -> bool:
    return now is not None and now.split() == change.after.split()


def _split(value: str | None) -> list[str] | None:
    return None if value is None else value.split()
