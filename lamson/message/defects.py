"""What is wrong with a message, in words, and whether that could hide something.

For all that reads messages, and for handlers and filters as `MailRequest.defects`. Whatever cannot
be read as it was meant is read as well as can be, and said here. A defect that ``hides`` is worse
than ugly: a mail program may show or open something there that nobody here has seen, because it
lies past a limit, is not taken apart, or can be read in more than one way.
"""

from __future__ import annotations

from typing import Literal

MAX_DEFECTS = 1000  # that are told one by one; `could_hide` counts the others too

Kind = Literal["malformed", "charset", "encoding", "ambiguous", "limit", "opaque"]
"""How it is wrong: against the syntax; in a charset or transfer encoding that is unknown or not
kept to; readable in more than one way; past a limit of ours; in a form that nobody here opens."""


class Defect(str):
    """One thing that is wrong, in words; ``kind`` says how, ``hides`` whether it could hide some.

    >>> Defect("a multipart without a boundary", kind="malformed", hides=True).hides
    True
    """

    __slots__ = ("hides", "kind")
    kind: Kind
    hides: bool

    def __new__(cls, text: str, *, kind: Kind = "malformed", hides: bool = False) -> Defect:
        made = super().__new__(cls, text)
        made.kind = kind
        made.hides = hides
        return made


class Defects(list[Defect]):
    """A list of each `Defect`, in the order found, each once, at most `MAX_DEFECTS`."""

    __slots__ = ("_seen", "could_hide")

    could_hide: bool
    """True where something could not be looked into: "refuse what cannot be checked" asks this."""

    def __init__(self) -> None:
        super().__init__()
        self.could_hide = False
        self._seen: dict[str, Defect] = {}

    def add(self, text: str, hides: bool = False, *, kind: Kind = "malformed") -> None:
        """Tell one. Two threads that read the same message may both do so.

        What it quotes is a stranger's: the text becomes one line that may stand in a reply.
        """
        if hides:
            self.could_hide = True
        if len(self) == MAX_DEFECTS:
            return
        if not text.isprintable():
            text = "".join([one if one.isprintable() else "?" for one in text])
        defect = Defect(text, kind=kind, hides=hides)
        if self._seen.setdefault(text, defect) is defect:
            self.append(defect)

    def copy(self) -> Defects:
        """The same for somebody who has more to add that concerns nobody else."""
        made = Defects()
        for defect in list(self):
            made.add(defect, defect.hides, kind=defect.kind)
        made.could_hide |= self.could_hide
        return made
