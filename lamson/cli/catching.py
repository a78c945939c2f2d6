"""The catching server of `lamson dev`: keeps what the application sends, or has it fail.

What becomes of it is chosen in the window (`lamson.web.development`): taken, refused, put off, or
taken and reported as undeliverable, as mail servers report it.
"""

from __future__ import annotations

import asyncio
from email.utils import formatdate, make_msgid
from typing import TYPE_CHECKING, Any

from lamson import log
from lamson.cli.sink import Storing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lamson.storage.maildir import Maildir
    from lamson.web.development import Development

_REFUSED = "550 5.7.1 Refused: lamson dev was told to"
_PUT_OFF = "451 4.7.1 Put off: lamson dev was told to"


class Catching(Storing):
    """Does with what the application sends what the window says."""

    def __init__(self, queue: Maildir, development: Development) -> None:
        super().__init__(queue, is_told=False)
        self._development = development
        self._bounces: set[asyncio.Task[Any]] = set()

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        mood = self._development.mood
        if mood == "refuse":
            return _REFUSED
        if mood == "delay":
            return _PUT_OFF
        answer = await super().handle_DATA(server, session, envelope)
        sender = (envelope.mail_from or "").strip("<>")
        if mood == "bounce" and sender:
            content = bounce(sender, envelope.rcpt_tos, envelope.content)
            task = asyncio.create_task(
                asyncio.to_thread(self._development.deliver, "", [sender], content)
            )
            self._bounces.add(task)
            task.add_done_callback(self._ended)
        return answer

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._bounces.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.logger.error("the bounce was not taken: %s", error)


def bounce(sender: str, recipients: Sequence[str], content: bytes) -> bytes:
    """What a mail server reports of mail to somebody who is not there (RFC 3464)."""
    failed = "".join(
        f"\nFinal-Recipient: rfc822; {one}\nAction: failed\nStatus: 5.1.1\n"
        "Diagnostic-Code: smtp; 550 5.1.1 no such user (says lamson dev)\n"
        for one in recipients
    )
    header = content.replace(b"\r\n", b"\n").partition(b"\n\n")[0] + b"\n"
    text = _BOUNCE.format(
        sender=sender,
        date=formatdate(localtime=True),
        id=make_msgid(domain="localhost"),
        failed=failed,
    )
    whole = text.encode() + header + b"\n--=_bounce--\n"
    return whole.replace(b"\n", b"\r\n")


_BOUNCE = """\
From: Mail Delivery System <MAILER-DAEMON@localhost>
To: {sender}
Subject: Undelivered Mail Returned to Sender
Date: {date}
Message-ID: {id}
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="=_bounce"

--=_bounce
Content-Type: text/plain

Your message could not be delivered: no such user.

--=_bounce
Content-Type: message/delivery-status

Reporting-MTA: dns; localhost
{failed}
--=_bounce
Content-Type: text/rfc822-headers

"""
