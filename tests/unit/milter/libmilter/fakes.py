"""A session of libmilter's without libmilter: what it is told is written down."""

from __future__ import annotations

from typing import Any


class FakeContext:
    """``macros`` are Postfix's; ``told`` is what was asked of it, in order."""

    def __init__(self, **macros: str) -> None:
        self.macros = macros
        self.told: list[tuple[Any, ...]] = []
        self._private: Any = None

    def setpriv(self, value: Any) -> None:
        self._private = value

    def getpriv(self) -> Any:
        return self._private

    def getsymval(self, name: str) -> str | None:
        return self.macros.get(name.strip("{}"))

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: self.told.append((name, *arguments))
