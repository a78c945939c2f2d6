"""Patterns: a route's format such as ``(list_name)-subscribe@(host)`` made into something matching.

For the Router, and for the tables that are generated for Postfix. A format is a regular expression
in which ``(name)`` stands for the pattern of the capture of that name; all the rest is regex, so
that a dot in ``(list_name)@test.com`` matches any character, as it always did in Lamson. A plain
group around a single word is written ``(?:word)``. The format has to match the whole address; upper
and lower case are the same, and so are all spellings of an internationalised domain
(`lamson.smtp.folding` says which texts an address is matched as).

RE2 matches, in time linear in the address, so that no stranger's address can hang a worker. What
RE2 cannot express (look-around, back-references) needs ``engine="re"``. A format that cannot be
compiled raises `PatternError`, one line which says what is wrong and what to do.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import re2

from lamson.smtp.folding import spellings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_TOKEN = re.compile(
    r"""\\Q(?P<quoted>.*?)(?:\\E|\Z)
      | (?P<atom>\\. | \[\^?\]?(?>(?:\\.|\[:\^?[a-z]+:\]|[^\]\\])*)\])
      | \((?P<name>[A-Za-z_][A-Za-z0-9_]*)\)(?P<repeat>(?:[?*+]|\{[0-9]+(?:,[0-9]*)?\})[?+]?)?
      | \(\?P?<(?P<explicit>[A-Za-z_][A-Za-z0-9_]*)>
      | (?P<uncounted>\(\?:)
      | (?P<extension>\(\?)
      | (?P<open>\()
      | (?P<close>\))
      | (?P<bar>\|)
      | (?P<text>[^\\\[()|]++)""",
    re.VERBOSE | re.DOTALL,
)
_NUMBERED_REFERENCE = re.compile(r"\\[1-9]")
# For the standard library a dotless i is an i, for Postfix it is not. Something that has no case
# stands for it, in patterns and addresses.
_DOTLESS, _STAND_IN = "\u0131", "\ue131"


class PatternError(ValueError):
    """A format, or the pattern of one of its captures, cannot be used."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a format: the capture ``name``, or with the name "" the text in between.

    ``text`` is how it was written, for a capture its own pattern; ``source`` the regex for it.
    """

    name: str
    text: str
    source: str


@dataclass(frozen=True, slots=True, eq=False)
class Pattern:
    """A compiled format.

    ``source`` is its regex, ``names`` are its captures as they stand from left to right, and
    ``pieces`` what it was put together from; () where it has alternatives at its top.
    """

    format: str
    engine: str
    source: str
    names: tuple[str, ...]
    pieces: tuple[Piece, ...]
    _compiled: Any = field(repr=False)
    _groups: tuple[tuple[str, int], ...] = field(repr=False)

    def match(self, address: str) -> dict[str, str] | None:
        """What the captures hold, None where they do not match the whole address.

        Values are spelt as in the address, but letters beyond ASCII, and domains that have such,
        in the form in which they are compared. A capture that took no part holds "".
        """
        for spelling in spellings(address):
            try:
                found = self.extract(spelling, spelling.encode())
            except UnicodeEncodeError:  # a lone surrogate: no address at all
                return None
            if found is not None:
                return found
        return None

    def extract(self, address: str, octets: bytes) -> dict[str, str] | None:
        """As `match`, of one spelling, for a caller who has encoded it as UTF-8 already."""
        if self.engine == "re":
            found = self._compiled.fullmatch(address.replace(_DOTLESS, _STAND_IN))
            if found is None:
                return None
            texts: dict[str, str] = found.groupdict("")
            if not address.isascii():
                texts = {n: text.replace(_STAND_IN, _DOTLESS) for n, text in texts.items()}
            return texts
        found = self._compiled.fullmatch(octets)  # given str, re2 works all offsets out twice
        if found is None:
            return None
        captures = {}
        ascii_only = len(octets) == len(address)
        for name, group in self._groups:
            start, end = found.span(group)
            if start < 0:
                captures[name] = ""
            else:
                captures[name] = address[start:end] if ascii_only else octets[start:end].decode()
        return captures


def compile_format(format: str, captures: Mapping[str, str], *, engine: str = "re2") -> Pattern:
    """The Pattern of a format; ``captures`` gives the regex of each capture by name.

    ``engine`` is "re2", or "re" for the standard library's. Raises PatternError where the format or
    a capture's pattern is no regex of that engine, or names a capture that is not known, or twice.
    """
    if engine not in ("re2", "re"):
        raise PatternError(f'engine={engine!r} is not known, it is "re2" or "re"')
    pieces, has_bar = _pieces(unicodedata.normalize("NFC", format), captures, engine)
    source = "".join(piece.source for piece in pieces)
    _refuse_repeated(format, source)  # RE2 would take one of them
    try:
        compiled = compile_source(source, engine)
    except (re.error, re2.error) as problem:
        raise PatternError(f"{format!r} cannot be used: {_reason(problem, source)}") from None
    groups = tuple(sorted(compiled.groupindex.items(), key=lambda item: item[1]))
    names = tuple(name for name, _ in groups)
    return Pattern(format, engine, source, names, () if has_bar else pieces, compiled, groups)


def compile_source(source: str, engine: str) -> Any:
    """The engine's own object for a regex, as all our matching wants it: ignoring case."""
    if engine == "re":
        with warnings.catch_warnings():  # of set operations that Python might have one day
            warnings.simplefilter("ignore", FutureWarning)
            return re.compile(source.replace(_DOTLESS, _STAND_IN), re.IGNORECASE)
    return re2.compile(source, options())


def options(*, memory: int | None = None) -> Any:
    """RE2's options: ignoring case, silent, ``memory`` octets at most (RE2's own limit if None)."""
    chosen = re2.Options()
    chosen.case_sensitive = False
    chosen.log_errors = False
    if memory is not None:
        chosen.max_mem = memory
    return chosen


def _pieces(
    format: str, captures: Mapping[str, str], engine: str
) -> tuple[tuple[Piece, ...], bool]:
    """The pieces of a format, and whether it has alternatives outside all parentheses."""
    pieces: list[Piece] = []
    text = source = ""
    depth, has_bar = 0, False
    for token in _tokens(format):
        name = token["name"]
        if name is None:
            text += token[0]
            source += _translated(token, "(" if engine == "re" else "(?:")
            depth += _depth(token)
            has_bar = has_bar or (depth == 0 and token["bar"] is not None)
            continue
        own = _own(format, name, captures)
        named = f"(?P<{name}>{_nested(name, own, engine)}){token['repeat'] or ''}"
        if depth:
            text, source = text + token[0], source + named
        else:
            if source:
                pieces.append(Piece("", text, source))
            pieces.append(Piece(name, own, named))
            text = source = ""
    if source:
        pieces.append(Piece("", text, source))
    return tuple(pieces), has_bar


def _own(format: str, name: str, captures: Mapping[str, str]) -> str:
    if name in captures:
        own = captures[name]
        if not isinstance(own, str):
            raise PatternError(f"({name}) is given {own!r}, but a pattern is a text")
        return unicodedata.normalize("NFC", own)
    near = difflib.get_close_matches(name, captures, n=3, cutoff=0.5)
    hint = " or ".join(f"({other})" for other in near)
    raise PatternError(
        f"{format!r} names the capture ({name}), which is not known"
        + (f" (did you mean {hint}?)" if hint else "")
        + f"; give it a pattern, {name}=..., in the decorator or in route_defaults,"
        f" or write (?:{name}) for the word itself"
    )


def _refuse_repeated(format: str, source: str) -> None:
    seen: set[str] = set()
    for token in _tokens(source):
        name = token["explicit"]
        if name in seen:
            raise PatternError(f"{format!r} has the capture ({name}) twice")
        if name is not None:
            seen.add(name)


def _nested(name: str, own: str, engine: str) -> str:
    """A capture's pattern, its plain groups no longer counted, to stand inside another regex."""
    depth = 0
    translated = []
    for token in _tokens(own):
        depth += _depth(token)
        if depth < 0:
            break
        if engine == "re" and _NUMBERED_REFERENCE.match(token[0]):
            raise PatternError(
                f"the pattern {own!r} of ({name}) refers to a group by number; write"
                " (?P<x>...) and (?P=x)"
            )
        translated.append(_translated(token, "(?:"))
    if depth:
        raise PatternError(f"the pattern {own!r} of ({name}) has unbalanced parentheses")
    return "".join(translated)


def _tokens(regex: str) -> Iterator[re.Match[str]]:
    position = 0
    while position < len(regex):
        token = _TOKEN.match(regex, position)
        if token is None:
            raise PatternError(
                f"{regex!r} cannot be used: the {regex[position]} at character {position + 1}"
                " has no end"
            )
        yield token
        position = token.end()


def _translated(token: re.Match[str], group: str) -> str:
    """A token as both engines take it, a plain opening parenthesis written as ``group``."""
    if token["name"] is not None:
        return f"{group}{token['name']}){token['repeat'] or ''}"
    if token["explicit"] is not None:
        return f"(?P<{token['explicit']}>"
    if token["quoted"] is not None:
        return re.escape(token["quoted"])
    return group if token["open"] is not None else token[0]


def _depth(token: re.Match[str]) -> int:
    """What a token adds to the depth of parentheses."""
    if token["close"] is not None:
        return -1
    opens = ("open", "uncounted", "extension", "explicit")
    return int(any(token[kind] is not None for kind in opens))


def _reason(problem: Exception, source: str) -> str:
    reason = problem.args[0] if problem.args else ""
    text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
    if isinstance(problem, re2.error):
        try:
            compile_source(source, "re")
        except re.error:
            return f"it is no regular expression ({text})"
        return f'RE2 cannot take it ({text}); say engine="re", which takes longer'
    return f"it is no regular expression ({text})"
