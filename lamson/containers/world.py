"""The outside world of a mail system: where everything arrives that is sent to anybody else."""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lamson.containers.service import Service
from lamson.containers.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from lamson.message.request import MailRequest

PORT = 2525
MAIL = "/var/lib/lamson/mail"
COMMAND = ["log", "--foreground", "--host", "0.0.0.0", "--port", str(PORT), "--queue", MAIL]
COMMAND += ["--pid", "/var/lib/lamson/log.pid"]
COMMAND += ["--allow", "127.0.0.0/8"]  # and the containers' network
CHECK = f"import smtplib; smtplib.SMTP('127.0.0.1', {PORT}, timeout=4).quit()"


@dataclass(frozen=True, slots=True)
class Arrived:
    """One message that arrived: its envelope, and as ``message`` its content.

    ``arrived["Subject"]`` and ``arrived.body`` are short for the same of ``arrived.message``.
    """

    sender: str
    recipients: tuple[str, ...]
    content: bytes
    message: MailRequest

    def __getitem__(self, name: str) -> str | None:
        return self.message[name]

    @property
    def body(self) -> str:
        """The text of the message, as `MailRequest.body`."""
        return self.message.body


class World(Service):
    """A container with `lamson log`; its mail is a Maildir."""

    def messages(self, to: str | None = None) -> list[Arrived]:
        """All that arrived, for ``to`` alone where given, oldest first."""
        with tarfile.open(fileobj=io.BytesIO(self.archive(f"{MAIL}/new"))) as archive:
            files = sorted((entry for entry in archive if entry.isfile()), key=lambda one: one.name)
            mail = [
                _arrived(file.read()) for entry in files if (file := archive.extractfile(entry))
            ]
        return [one for one in mail if to is None or to in one.recipients]

    def wait(
        self,
        count: int = 1,
        *,
        to: str | None = None,
        where: Callable[[Arrived], bool] = lambda arrived: True,
        timeout: float = 60.0,
    ) -> list[Arrived]:
        """Wait for ``count`` messages (for ``to``; where ``where`` holds); returns them all."""

        def found() -> list[Arrived]:
            return [arrived for arrived in self.messages(to) if where(arrived)]

        return wait_for(
            lambda: hits if len(hits := found()) >= count else [],
            lambda: f"{count} messages to {to or 'anybody'}, got {len(found())}",
            timeout=timeout,
        )


def _arrived(content: bytes) -> Arrived:
    """What `lamson log` stored: its first header fields are the envelope."""
    from lamson.message.request import MailRequest
    from lamson.smtp.envelope import Envelope, Recipient

    stored = MailRequest(content, Envelope(""), Recipient(""))
    sender = (stored["Return-Path"] or "").strip("<>")
    recipients = tuple(stored.get_all("X-Original-To"))
    envelope = Envelope(sender, recipients)
    return Arrived(
        sender, recipients, content, MailRequest(content, envelope, Recipient(recipients[0]))
    )
