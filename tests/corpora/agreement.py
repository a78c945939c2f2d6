"""How far our reading of real mail agrees with that of other parsers."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from tests.corpora import parsers, sources

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.corpora.parsers import Reading

FIELDS = ("body", "subject", "author", "attachments")


class Agreement(NamedTuple):
    """Counts over all messages; ``agree`` and ``others`` by field."""

    messages: int
    agree: Counter[str]  # where two others read as we do
    others: Counter[str]  # where two others agree with one another
    found_empty: int  # body "" where two others have a text
    left_out: int  # a body that lacks what two others have
    no_author: int  # none where two others have the same
    apart: list[str]  # what was read otherwise: "field path"


def measure(read: Callable[[bytes], Reading] = parsers.ours) -> Agreement:
    """Read all there is."""
    mails = list(sources.messages())
    by_node = parsers.of_node([content for _, content in mails])
    found = Agreement(len(mails), Counter(), Counter(), 0, 0, 0, [])
    empty = left_out = no_author = 0
    for number, (path, content) in enumerate(mails):
        mine = read(content)
        peers = [parsers.stdlib(content), parsers.mail_parser(content)]
        peers += [parsers.fast_mail_parser(content), *(one[number] for one in by_node.values())]
        theirs = [one for one in peers if one is not None]
        for field in FIELDS:
            values = [getattr(one, field) for one in theirs if _tells(one, field)]
            common = Counter(values).most_common(1)
            if not common or common[0][1] < 2:
                continue
            found.others[field] += 1
            if values.count(getattr(mine, field)) >= 2:
                found.agree[field] += 1
            else:
                found.apart.append(f"{field} {path}")
        # The email package is one of the two: others count an attached message's text, too.
        first, bodies = peers[0], [one.body for one in theirs if one.body]
        if first is not None and first.body and len(bodies) >= 2:
            empty += not mine.body
            lacking = sum(_lacks(mine.body, body) for body in bodies)
            left_out += bool(mine.body) and _lacks(mine.body, first.body) and lacking >= 2
        authors = Counter(one.author for one in theirs if one.author).most_common(1)
        no_author += not mine.author and bool(authors) and authors[0][1] >= 2
    return found._replace(found_empty=empty, left_out=left_out, no_author=no_author)


def _tells(one: Reading, field: str) -> bool:
    """Who finds nothing does not count, and texts made of HTML are each parser's own."""
    return field == "attachments" or bool(getattr(one, field))


def _lacks(mine: str, theirs: str) -> bool:
    """True where theirs has what ours ends before."""
    return len(theirs) > len(mine) and theirs.startswith(mine)


def told(found: Agreement) -> str:
    lines = [f"{found.messages} messages"]
    for field in FIELDS:
        share = 100 * found.agree[field] / max(found.others[field], 1)
        lines.append(f"{field:12} {found.agree[field]} of {found.others[field]}: {share:.1f} %")
    for name, count in (
        ("body empty where two others have a text", found.found_empty),
        ("later texts left out", found.left_out),
        ("author missing where two others agree on one", found.no_author),
    ):
        lines.append(f"{name}: {count}, {100 * count / max(found.messages, 1):.1f} %")
    return "\n".join(lines)
