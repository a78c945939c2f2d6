"""The log as the settings of a project want it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson import log
from lamson.net.journald import Journal

if TYPE_CHECKING:
    from lamson.settings.model import Settings


def configure(settings: Settings, *, console: bool = False) -> None:
    """For the service, and for commands that do its work. Raises OSError as `log.configure` does.

    With ``console`` it goes to standard error too.
    """
    log.configure(
        settings.log_file,
        level=settings.log_level,
        console=console,
        format=settings.log_format,
        connect=Journal,
    )
