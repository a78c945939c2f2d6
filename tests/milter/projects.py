"""Projects with filters, written out and run by the real `lamson start`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.service import LamsonService

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = """\
from lamson.settings import Milter, Settings

settings = Settings(
    handlers=["app.handlers"],
    filters=["app.filters"],
    route_defaults={"user": "[^@]+", "host": r"test\\.com"},
    metadata=None,
    milter=Milter(MILTER),
)
"""

HANDLERS = '''\
"""Tells what the notes are."""
from lamson import MailRequest, log, route, stateless

@route("(user)@(host)")
@stateless
def TELL(message: MailRequest, user: str, host: str) -> None:
    notes = ",".join(f"{name}:{value}" for name, value in message.notes.items())
    log.event("told", message.envelope.id, recipient=message.recipient, notes=notes or "none")
'''

_IMPORTS = "from lamson_milter import *\nfrom lamson import SMTPError\n"


class FilteringService(LamsonService):
    """The service of a project in the new ``directory``, whose filter module is ``filters``.

    ``milter`` are the arguments of `Milter`; without an address it is a unix socket.
    """

    def __init__(
        self, directory: Path, filters: str, milter: str = "", *, handlers: str = HANDLERS
    ) -> None:
        for name in ("config", "app"):
            (directory / name).mkdir(parents=True)
        (directory / "config/settings.py").write_text(SETTINGS.replace("MILTER", milter))
        (directory / "app/__init__.py").touch()
        (directory / "app/handlers.py").write_text(handlers)
        (directory / "app/filters.py").write_text(_IMPORTS + filters)
        super().__init__(directory)

    @property
    def socket(self) -> str:
        """Where the milter listens, if it is a unix socket."""
        return str(self.project / "sockets/milter.sock")
