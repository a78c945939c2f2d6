"""What runs while a fault strikes: it is started with the block, and ended with it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType


class Running(ABC):
    """``_start`` begins everything, each in ``_running``, which ends it in the opposite order."""

    def __init__(self) -> None:
        self._running = ExitStack()

    @abstractmethod
    def _start(self) -> None:
        """Begin it all. What fails here has ended what began before."""

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._running.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._running.close()
