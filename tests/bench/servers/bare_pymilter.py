"""A minimal filter on pymilter: python bare_pymilter.py SOCKET [noreply]

With ``noreply`` it negotiates that only the end of the message is answered.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import Milter

if TYPE_CHECKING:
    from collections.abc import Callable


def quiet(function: Callable[..., int]) -> Callable[..., int]:
    return Milter.noreply(function) if sys.argv[2:] == ["noreply"] else function


class Minimal(Milter.Base):
    """Looks at the recipient and at one header field, and adds a field."""

    @quiet
    def envfrom(self, sender: str, *parameters: str) -> int:
        self.is_ours = self.has_subject = False
        return Milter.CONTINUE

    @quiet
    def envrcpt(self, recipient: str, *parameters: str) -> int:
        self.is_ours = recipient.endswith("@test.com>")
        return Milter.CONTINUE

    @quiet
    def header(self, name: str, value: str) -> int:
        if name.lower() == "subject":
            self.has_subject = True
        return Milter.CONTINUE

    def eom(self) -> int:
        if self.is_ours:
            self.addheader("X-Filtered", "yes" if self.has_subject else "no")
        return Milter.CONTINUE


if __name__ == "__main__":
    Milter.factory = Minimal
    Milter.set_flags(Milter.ADDHDRS)
    Milter.runmilter("minimal", sys.argv[1], 0)
