"""A real Postfix that asks our milter: services, and what a client sees and what is queued."""

from __future__ import annotations

import smtplib
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING

from tests.milter.projects import FilteringService
from tests.postfix.sender import letter

if TYPE_CHECKING:
    from collections.abc import Sequence


class MilterService(FilteringService):
    """A service whose socket smtpd may use: pytest's directories are closed to the user postfix."""

    def __init__(
        self, filters: str, milter: str = 'socket_group="postfix"', **options: str
    ) -> None:
        self._base = Path(tempfile.mkdtemp(prefix="lamson-milter-", dir="/tmp"))
        self._base.chmod(0o755)
        super().__init__(self._base / "project", filters, milter, **options)

    def remove(self) -> None:
        with suppress(AssertionError):
            self.stop()
        rmtree(self._base)


@dataclass
class Seen:
    """The replies to the commands, in order; the last one is that to the final dot."""

    replies: list[tuple[str, int, str]] = field(default_factory=list)

    @property
    def refusal(self) -> str:
        """The first command that was not taken, its code and status; "" where all was well."""
        for command, code, text in self.replies:
            if code >= 400:
                return f"{command}: {code} {text.split()[0]}"
        return ""

    @property
    def queue_id(self) -> str:
        command, code, text = self.replies[-1]
        return text.split()[-1] if command == "DATA" and code == 250 else ""


def talk(
    port: int,
    sender: str,
    *recipients: str,
    source: str = "127.0.0.1",
    content: bytes | None = None,
    options: Sequence[str] = (),
) -> Seen:
    """One SMTP dialogue, from the address ``source``, as far as the server lets it go."""
    seen = Seen()
    client = smtplib.SMTP(timeout=60, local_hostname="client.test")
    client.source_address = (source, 0)

    def said(command: str, reply: tuple[int, bytes | str]) -> bool:
        code, text = reply
        if isinstance(text, bytes):
            text = text.decode("utf-8", "replace")
        seen.replies.append((command, code, text))
        return code < 400

    try:
        if not said("CONNECT", client.connect("127.0.0.1", port)):
            return seen
        said("EHLO", client.ehlo())
        if not said("MAIL", client.docmd("MAIL", f"FROM:<{sender}> {' '.join(options)}".strip())):
            return seen
        taken = [said("RCPT", client.docmd("RCPT", f"TO:<{one}>")) for one in recipients]
        if any(taken):
            said("DATA", client.data(content or letter(sender, ", ".join(recipients))))
    except smtplib.SMTPServerDisconnected as error:
        seen.replies.append(("", 421, f"4.0.0 {error}"))
    except smtplib.SMTPDataError as error:
        said("DATA", (error.smtp_code, error.smtp_error))
    finally:
        client.close()
    return seen
