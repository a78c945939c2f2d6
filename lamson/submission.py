"""One connection to Postfix's submission port, kept open between messages.

aiosmtplib speaks SMTP; this adds what the relay needs to know: which recipients were refused,
whether for now or for ever, and whether the server could be reached at all.
"""

from __future__ import annotations

import ssl
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import aiosmtplib
from aiosmtplib import errors

if TYPE_CHECKING:
    from pathlib import Path

    from lamson.outbox import Outgoing

IDLE = 30.0  # seconds after which a kept connection is tried out before it is used

Security = Literal["none", "starttls", "tls"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """One recipient that was not taken, and the server's reply."""

    recipient: str
    reply: str
    is_permanent: bool


class SubmitterDown(Exception):
    """The server could not be reached, secured or logged in to, or hung up: try again later."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where and how to submit. ``timeout`` in seconds, for each command."""

    host: str
    port: int
    security: Security = "none"
    user: str | None = None
    secret: str | None = None
    ca_file: Path | None = None
    timeout: float = 60.0
    hostname: str | None = None


class Submitter:
    """A connection that is opened when it is first needed."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._client: aiosmtplib.SMTP | None = None
        self._used_at = 0.0

    async def submit(self, row: Outgoing) -> list[Refusal]:
        """Submit one message; gives the recipients that were refused.

        Raises SubmitterDown when there is no telling: the connection failed on the way.
        """
        client = await self._connected()
        options = []
        if not row.content.isascii():
            options.append("BODY=8BITMIME")
        if row.smtputf8:
            if not client.supports_extension("smtputf8"):
                return _all(row, "the submission server does not offer SMTPUTF8", True)
            options.append("SMTPUTF8")
        try:
            refused, _ = await client.sendmail(
                row.sender,
                list(row.recipients),
                row.content,
                mail_options=options,
            )
        except errors.SMTPRecipientsRefused as error:
            return [_refusal(one.recipient, one.code, one.message) for one in error.recipients]
        except errors.SMTPServerDisconnected as error:
            self._client = None
            raise SubmitterDown(f"{self}: the connection broke: {error}") from error
        except errors.SMTPResponseException as error:
            if error.code == 421:
                await self.close()
                raise SubmitterDown(f"{self}: {error.code} {error.message}") from error
            return _all(row, f"{error.code} {error.message}", error.code >= 500)
        except (errors.SMTPException, OSError) as error:
            await self.close()
            raise SubmitterDown(f"{self}: {error}") from error
        self._used_at = time.monotonic()
        return [_refusal(one, reply.code, reply.message) for one, reply in refused.items()]

    async def close(self) -> None:
        """Say QUIT where somebody listens still."""
        client, self._client = self._client, None
        if client is not None and client.is_connected:
            with suppress(errors.SMTPException, OSError):
                await client.quit()
            client.close()

    async def _connected(self) -> aiosmtplib.SMTP:
        client = self._client
        if client is not None and time.monotonic() - self._used_at > IDLE:
            with suppress(errors.SMTPException, OSError):
                await client.noop()
        if client is not None and client.is_connected:
            return client
        self._client = None
        end = self._endpoint
        client = aiosmtplib.SMTP(
            hostname=end.host,
            port=end.port,
            local_hostname=end.hostname,
            timeout=end.timeout,
            use_tls=end.security == "tls",
            start_tls=end.security == "starttls",
            tls_context=None if end.security == "none" else self._tls_context(),
            username=end.user,
            password=end.secret,
        )
        try:
            await client.connect()
            if client.is_ehlo_or_helo_needed:
                await client.ehlo()
        except (errors.SMTPException, OSError) as error:
            client.close()
            raise SubmitterDown(f"{self}: {error}") from error
        self._client = client
        self._used_at = time.monotonic()
        return client

    def _tls_context(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=self._endpoint.ca_file)
        except OSError as error:
            raise SubmitterDown(f"CA file {self._endpoint.ca_file}: {error}") from error

    def __str__(self) -> str:
        return f"submission to {self._endpoint.host}:{self._endpoint.port}"


def _refusal(recipient: str, code: int, message: str) -> Refusal:
    return Refusal(recipient, f"{code} {message}", code >= 500)


def _all(row: Outgoing, reply: str, is_permanent: bool) -> list[Refusal]:
    return [Refusal(one, reply, is_permanent) for one in row.recipients]
