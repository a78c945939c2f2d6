"""The Lamson projects that are measured: written out, then run by the real `lamson start`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_SETTINGS = """\
from lamson.settings.model import Settings

settings = Settings(
    database={database!r},
    handlers=["app.handlers"],
    route_defaults={{"user": "[^@]+", "host": ".+"}},
    metadata=None,
    domains=["bench.test"],
)
"""

NOTHING = '''\
"""A handler that does nothing."""
from lamson import MailRequest, route, stateless

@route("(user)@(host)")
@stateless
def NOTHING(message: MailRequest, user: str, host: str) -> None:
    pass
'''

DURABLE = '''\
"""Two states that take turns; each message is answered."""
from lamson import Delivery, MailRequest, State, route, route_like

@route("(user)@(host)")
def START(message: MailRequest, delivery: Delivery, user: str, host: str) -> State:
    answer(message, delivery)
    return SECOND

@route_like(START)
def SECOND(message: MailRequest, delivery: Delivery, user: str, host: str) -> State:
    answer(message, delivery)
    return START

def answer(message: MailRequest, delivery: Delivery) -> None:
    response = delivery.compose(
        to=message.author,
        sender=message.recipient.address,
        subject=f"Re: {message['Subject']}",
        body="Thank you, your message has arrived.",
    )
    delivery.send(response)
'''


def write(directory: Path, handlers: str, database: str | None) -> Path:
    """Write a project of one handler module into the new ``directory``, and return that."""
    for name in ("config", "app", "app/templates"):
        (directory / name).mkdir(parents=True)
    (directory / "app/__init__.py").touch()
    (directory / "app/handlers.py").write_text(handlers)
    (directory / "config/settings.py").write_text(_SETTINGS.format(database=database))
    return directory
