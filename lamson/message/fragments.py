"""What a text of a mail is made of: what its writer wrote, and what came along.

For `MailRequest.fragments`. Each line is of one kind: new, a quote of another mail, a signature, a
forwarded mail, a footer. Blank lines belong to what they follow. The texts of all fragments add up
to the text, so nothing is ever lost; a line of which it is not sure what it is counts as new. Takes
time linear in the text, whatever that is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from lamson.message import attribution, signature

if TYPE_CHECKING:
    import re
    from collections.abc import Mapping

Kind = Literal["new", "quote", "signature", "forwarded", "footer"]
"""What the writer wrote; other mail that he answers; his signature, or that of his program; mail
that he sends on; what lists, virus scanners and companies add."""

MAX_LINES = 3000  # that are looked at; what comes later is as the last of them
_MAX_LINE = 1000  # characters of a line that are looked at
_BLOCK = 12  # lines in which the fields of a shown header stand
_LIST_FOOTER = 12  # lines at the end in which a mailing list says what it is
_SHORT = 7  # lines below a line that may delimit a signature
_BELOW_A_DEVICE = 3
_MAX_TRIES = 100  # lines that could begin a signature or footer, and do not


class Fragment(NamedTuple):
    """A part of a text that is of one ``kind``."""

    kind: Kind
    text: str


def split(text: str, subject: str = "", marks: Mapping[int, Kind] | None = None) -> list[Fragment]:
    """The fragments of ``text``, in order; [] for an empty one.

    ``subject`` tells whether a mail is sent on or answered, where the text does not. ``marks`` are
    what is known of the text otherwise: the kind of what begins in the line of that number.
    """
    if not text:
        return []
    lines = text.split("\n", MAX_LINES)  # with all that is not looked at as the last one
    kinds = _Splitter(lines, subject, marks or {}).kinds()
    if marks and "new" not in _texts_of(lines, kinds):  # somebody wrote into his signature
        kinds = _Splitter(lines, subject, {}).kinds()
    if not lines[-1]:
        kinds.pop()
    fragments: list[Fragment] = []
    start = end = 0
    for number, kind in enumerate(kinds):
        end += len(lines[number]) + 1
        if number + 1 == len(kinds) or kinds[number + 1] != kind:
            fragments.append(Fragment(kind, text[start:end]))
            start = end
    return fragments


def _texts_of(lines: list[str], kinds: list[Kind]) -> set[Kind]:
    """The kinds of the lines that say something."""
    return {kind for line, kind in zip(lines, kinds, strict=False) if line.strip()}


class _Splitter:
    """Goes through the lines once; what follows is looked at within a few lines."""

    def __init__(self, lines: list[str], subject: str, marks: Mapping[int, Kind]) -> None:
        self._lines = [line[:_MAX_LINE].rstrip("\r") for line in lines]
        self._is_forward = attribution.is_forward_subject(subject)
        self._marks = marks
        self._kinds: list[Kind] = []
        self._mark: re.Pattern[str] | None = None  # of quotes that have another mark than ">"
        self._until_end: Kind | None = None  # quoted or forwarded without a mark at each line
        self._tries = _MAX_TRIES
        self._from_others: dict[int, bool] = {}
        self._roles: dict[int, str | None] = {}

    def kinds(self) -> list[Kind]:
        footer = self._list_footer()
        number = 0
        kind: Kind = "new"
        while number < footer:
            begins = self._boundary(number)
            if begins is not None:
                kind, number = self._begin(number, *begins)
                continue
            kind = self._next(number, kind)
            self._kinds.append(kind)
            number += 1
        self._kinds += ["footer"] * (len(self._lines) - footer)
        return self._kinds

    def _begin(self, number: int, kind: Kind, count: int) -> tuple[Kind, int]:
        """Lines that say that something else begins, which they belong to."""
        end = min(number + count, len(self._lines))
        self._kinds += [kind] * (end - number)
        return kind, end

    def _next(self, number: int, kind: Kind) -> Kind:
        """The kind of a line that begins nothing that lasts to the end."""
        line = self._lines[number]
        mark = self._marks.get(number)
        if mark is not None and self._until_end is None:
            if mark == "quote":
                return self._lasting(self._shown(), 1)[0]
            if not self._is_quoted(line):
                return mark
        if self._until_end is not None:
            return self._until_end
        if not line.strip():
            return kind
        if self._is_quoted(line):
            return "quote"
        if kind == "quote":
            kind = "new"
        if kind != "footer" and self._begins_footer(number):
            return "footer"
        if kind == "new" and self._begins_signature(number):
            return "signature"
        return kind

    # Boundaries

    def _boundary(self, number: int) -> tuple[Kind, int] | None:
        """What begins at the line, and how many lines say so."""
        if self._until_end is not None:
            return None
        line = self._lines[number]
        if attribution.is_groupwise_line(line):
            after = self._next_text(number + 1)
            is_marked = after < len(self._lines) and self._is_quoted(self._lines[after])
            return ("quote", 1) if is_marked else self._lasting(self._shown(), 1)
        if not line.strip() or self._is_quoted(line):
            return None
        if attribution.is_forward_line(line):
            return self._lasting("forwarded", 1)
        if attribution.is_original_line(line):
            return self._lasting(self._shown(), 1)
        if attribution.is_rule(line):
            after = self._next_text(number + 1)
            if after < len(self._lines) and (
                self._is_header(after) or attribution.is_original_line(self._lines[after])
            ):
                return self._lasting(self._shown(), 1)
            return None
        if self._is_header(number):
            return self._lasting(self._shown(), 1)
        return self._attribution(number)

    def _lasting(self, kind: Kind, count: int) -> tuple[Kind, int]:
        self._until_end = kind
        return kind, count

    def _shown(self) -> Kind:
        """Of a mail that is shown with its header: what its subject says of this one."""
        return "forwarded" if self._is_forward else "quote"

    def _is_header(self, number: int) -> bool:
        if self._role(number) not in ("sender", "sent", "subject"):
            return False
        end = min(number + _BLOCK, len(self._lines))
        return attribution.is_header_block(map(self._role, range(number, end)))

    def _role(self, number: int) -> str | None:
        if number not in self._roles:
            self._roles[number] = attribution.role_of(self._lines[number])
        return self._roles[number]

    def _attribution(self, number: int) -> tuple[Kind, int] | None:
        """An attribution of one line or several that begins here."""
        following = self._lines[number + 1] if number + 1 < len(self._lines) else ""
        lines = attribution.MAX_LINES
        if not attribution.may_begin(self._lines[number], following):
            lines = 1
        for count in range(1, lines + 1):
            last = number + count - 1
            if last >= len(self._lines) or not self._lines[last].strip():
                return None
            if count > 1 and self._is_quoted(self._lines[last]):
                return None
            if attribution.ends_in_colon(self._lines[last]):
                return self._judge(number, last)
        return None

    def _judge(self, number: int, last: int) -> tuple[Kind, int] | None:
        """The lines from ``number`` to ``last``, if they are an attribution and nothing else."""
        for begin in range(number + 1, last + 1):
            text = " ".join(self._lines[begin : last + 1])
            if attribution.is_sure_attribution(text) and attribution.begins(text):
                return None  # the first of them are the writer's
        text = " ".join(self._lines[number : last + 1])
        after = self._next_text(last + 1)
        is_near = after < len(self._lines) and after - last <= 3
        if is_near and self._mark is None and attribution.is_attribution(text):
            self._mark = attribution.quote_mark(self._lines[after])
        if is_near and self._is_quoted(self._lines[after]):
            return ("quote", last + 1 - number) if attribution.is_attribution(text) else None
        if attribution.is_sure_attribution(text):
            return self._lasting("quote", last + 1 - number)
        return None

    def _is_quoted(self, line: str) -> bool:
        return _is_quoted(line) or (self._mark is not None and self._mark.match(line) is not None)

    def _next_text(self, number: int) -> int:
        """The next line with something in it, within a few lines."""
        end = min(number + 4, len(self._lines))
        while number < end and not self._lines[number].strip():
            number += 1
        return number

    # Signatures and footers

    def _begins_signature(self, number: int) -> bool:
        line = self._lines[number]
        if signature.is_delimiter(line):
            return self._ends_within(number + 1, signature.MAX_LINES)
        if signature.may_delimit(line):
            return number > 0 and self._ends_within(number + 1, _SHORT, like_a_card=True)
        return signature.is_device(line) and self._ends_within(number + 1, _BELOW_A_DEVICE)

    def _ends_within(self, number: int, count: int, *, like_a_card: bool = False) -> bool:
        """Whether nothing but a few lines follow, until the end or what comes from others.

        Those ``like_a_card`` are names and addresses, and no sentences.
        """
        if not self._tries:
            return False
        self._tries -= 1
        texts = 0
        for at in range(number, min(len(self._lines), number + 3 * count)):
            line = self._lines[at]
            if not line.strip():
                continue
            if self._is_quoted(line) or self._is_others(at):
                return True
            texts += 1
            if texts > count or (like_a_card and signature.is_sentence(line)):
                return False
        return texts > 0 or not like_a_card

    def _is_others(self, number: int) -> bool:
        """Whether something begins there that is not of the writer or his program."""
        known = self._from_others.get(number)
        if known is None:
            kept = self._until_end
            known = self._boundary(number) is not None or self._is_footer(number)
            self._until_end = kept
            self._from_others[number] = known
        return known

    def _begins_footer(self, number: int) -> bool:
        starts_paragraph = number == 0 or not self._lines[number - 1].strip()
        if not starts_paragraph and not attribution.is_rule(self._lines[number - 1]):
            return False
        return number > 0 and self._is_footer(number) and self._ends_within(number, _LIST_FOOTER)

    def _is_footer(self, number: int) -> bool:
        return signature.is_footer(self._lines[number : number + _LIST_FOOTER])

    def _list_footer(self) -> int:
        """The line with which a mailing list's footer begins, which ends the text."""
        end = len(self._lines)
        while end and not self._lines[end - 1].strip():
            end -= 1
        found = len(self._lines)
        for number in range(max(1, end - _LIST_FOOTER), end):
            if signature.is_list_footer(self._lines[number:end]):
                return number
        return found


def _is_quoted(line: str) -> bool:
    stripped = line.lstrip(" \t\xa0")
    return stripped.startswith((">", "\u203a", "\uff1e")) and len(line) - len(stripped) < 4
