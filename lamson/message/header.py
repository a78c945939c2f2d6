r"""The header of a message or part, read without parsing: fields are found where they stand.

For `ParsedMessage`, which is asked for a field or two per message, thousands of times per second. A
look-up is one search for ``\nname:`` in a lower-cased copy; nothing is indexed, and only the field
that was asked for is decoded. Lines may end in CRLF or LF, mixed. Any bytes give an answer in
linear time; what was wrong with them is said in `defects`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lamson.message.encoded_words import decode_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamson.message.defects import Defects

MAX_BLOCK = 1 << 20  # octets of a header that are looked at
MAX_FIELDS = 10_000  # fields that are listed; each can still be asked for by name

# A field is a name of printable ASCII and a colon (RFC 5322 section 2.2); white space before the
# colon is obsolete syntax (section 4.5). The first line that is no field and continues none ends
# the header: it is the empty line, or the body began without one.
_FIRST = re.compile(rb"(?:>?From [^\n]*\n)?(?=[!-9;-~]++[ \t]*+:)")
_END = re.compile(rb"\n(?![!-9;-~]++[ \t]*+:|[ \t])")
_EMPTY_LINE = re.compile(rb"\r?\n")
_COLON = re.compile(rb"[ \t]*+:")
_VALUE_END = re.compile(rb"\n(?![ \t])")
_NAME = re.compile(rb"\n([!-9;-~]++)[ \t]*+:")
_BLANK_LINE = re.compile(rb"\n[ \t]++\r?\n")
_ONCE = ("Content-Type", "Content-Disposition", "Content-Transfer-Encoding")


def called(*names: str, like: str = "") -> re.Pattern[bytes]:
    """An expression for `Header.first_of`; ``like`` is one for other names, in lower case."""
    all_names = "|".join([re.escape(name.lower()) for name in names] + ([like] if like else []))
    return re.compile(b"\n(%b)[ \t]*+:" % all_names.encode())


class Header:
    """The fields at the start of ``source[start:end]``; the body is ``source[body:end]``."""

    __slots__ = ("_block", "_defects", "_lower", "body")

    def __init__(self, source: bytes, defects: Defects, start: int = 0, end: int = -1) -> None:
        end = len(source) if end < 0 else end
        self._defects = defects
        first = _FIRST.match(source, start, end)
        begin = first.end() if first else start
        limit = end
        if end - begin > MAX_BLOCK:  # at a line end, or a name cut in two would end the header
            limit = source.rfind(b"\n", begin, begin + MAX_BLOCK)
            limit = limit if limit >= 0 else begin + MAX_BLOCK
        if first is None:
            stop, after = begin, begin
        elif found := _END.search(source, begin, limit):
            stop, after = found.start(), found.end()
        elif limit == end:
            stop, after = end, end
        else:
            defects.add(
                f"the header is longer than {MAX_BLOCK} octets: not all of it was read",
                hides=True,
                kind="limit",
            )
            ends = (source.find(b"\n\r\n", limit, end), source.find(b"\n\n", limit, end))
            stop, after = limit, min((at + 1 for at in ends if at >= 0), default=end)
        separator = _EMPTY_LINE.match(source, after, end)
        if separator is None and after < end:
            defects.add(
                "the empty line between header and body is missing", hides=True, kind="ambiguous"
            )
        self.body = separator.end() if separator else after
        self._block = b"\n%b" % source[begin:stop] if stop > begin else b"\n"
        self._lower = self._block.lower()

    def raw(self, name: str) -> Iterator[bytes]:
        """The values of each field called ``name``, as they came, folds included."""
        if not name.isascii() or not name:
            return
        needle = f"\n{name.lower()}".encode()
        at = self._lower.find(needle)
        while at >= 0:
            at += len(needle)
            if colon := _COLON.match(self._lower, at):
                yield self._value(colon.end())
            at = self._lower.find(needle, at)

    def get(self, name: str) -> str | None:
        """The value of the first field called ``name``, as text on one line; None without one."""
        for value in self.raw(name):
            return decode_words(value, self._defects, name)
        return None

    def get_all(self, name: str) -> list[str]:
        """The values of all fields called ``name``, in the order in which they stand."""
        return [decode_words(value, self._defects, name) for value in self.raw(name)]

    def first_of(self, names: re.Pattern[bytes]) -> str | None:
        """The name, in lower case, of the first field that is called as ``names`` (see `called`)
        says; None without one. Takes about as long as looking for one name."""
        found = names.search(self._lower)
        return found[1].decode("ascii") if found else None

    def fields(self) -> Iterator[tuple[str, bytes]]:
        """Each field as (name, value as it came), at most `MAX_FIELDS` of them."""
        for number, found in enumerate(_NAME.finditer(self._block)):
            if number == MAX_FIELDS:
                self._defects.add(
                    f"more than {MAX_FIELDS} header fields: the rest is not listed",
                    hides=True,
                    kind="limit",
                )
                return
            yield found[1].decode("ascii"), self._value(found.end())

    def items(self) -> list[tuple[str, str]]:
        """Each field as (name, value as text on one line), at most `MAX_FIELDS` of them."""
        return [(name, decode_words(raw, self._defects, name)) for name, raw in self.fields()]

    def examine(self) -> None:
        """Find what could make others see other fields here, or read those of a part otherwise."""
        block = self._block
        if b"\0" in block or block.count(b"\r") != (
            block.count(b"\r\n") + block.endswith(b"\r")  # of the line end before the body
        ):
            self._defects.add("a bare CR or a NUL in a header", hides=True, kind="ambiguous")
        if _BLANK_LINE.search(block):  # RFC 5322 section 3.2.2 has it that nobody may write one
            self._defects.add("a line of blanks in a header", hides=True, kind="ambiguous")
        for name in _ONCE:
            values = list(self.raw(name))
            if len(values) > 1:
                self._defects.add(
                    f"{name} stands there more than once",
                    hides=len(set(values)) > 1,
                    kind="ambiguous",
                )

    def _value(self, start: int) -> bytes:
        end = _VALUE_END.search(self._block, start)
        value = self._block[start : end.start() if end else len(self._block)]
        return value.strip(b" \t\r\n")
