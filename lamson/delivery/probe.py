"""The handler of reserved addresses: it notes what arrived of a probe, and answers it once.

For `lamson postfix check -deliver`. The answer goes out as any handler's does, through the outbox
and submission, to another reserved address, and with a third one as its envelope sender: what comes
of it ends here, and nobody else is written to. A probe that comes again does nothing.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lamson.message import probe
from lamson.routing.reserved import Way
from lamson.smtp import address
from lamson.smtp.reply import SMTPError
from lamson.storage import probes
from lamson.storage.outgoing import Outgoing

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from lamson.delivery.context import Delivery
    from lamson.message.request import MailRequest
    from lamson.routing.reserved import Reserved


class Probe:
    """Answers for the addresses that ``reserved`` knows."""

    def __init__(self, reserved: Reserved) -> None:
        self._reserved = reserved

    def answer(self, message: MailRequest, delivery: Delivery, db: Session) -> None:
        """Note it, and send the answer. Raises SMTPError where it has come too late."""
        here = message.recipient.address
        token = self._reserved.read(here)
        if token is None:
            raise SMTPError(550, "5.1.1", "this address is no longer valid")
        caught = probe.Caught.of(message.sender, here, message.raw)
        is_new = probes.keep(
            db,
            record_name(token.name, token.way),
            caught.to_text(),
            until=float(token.expires),
            now=time.time(),
        )
        if is_new and token.way is Way.IN:
            delivery.outgoing.append(self._answer(delivery.id, here))

    def _answer(self, id: str, here: str) -> Outgoing:
        domain = address.split(here)[1]
        token = self._reserved.read(here)
        assert token is not None
        to = self._reserved.address(token._replace(way=Way.OUT), domain)
        sender = self._reserved.address(token._replace(way=Way.BOUNCE), domain)
        return Outgoing(
            source=id,
            message_id=probe.message_id(token.name, domain),
            sender=sender,
            recipients=(to,),
            content=probe.letter(token.name, sender, to).replace(b"\n", b"\r\n"),
        )


def record_name(name: str, way: Way) -> str:
    """What is kept of this leg stands under this name."""
    return f"{name}.{way.value}"
