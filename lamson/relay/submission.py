"""One connection to Postfix's submission port, kept open between messages, for several at a time.

aiosmtplib opens it, lamson/relay/pipelining.py sends over it; this adds what the relay needs to
know: which recipients were refused, whether for now or for ever, and whether the server could be
reached at all.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import aiosmtplib
from aiosmtplib import errors

from lamson.errors import SettingsError
from lamson.net import descriptors, tls
from lamson.relay import wanted_reports
from lamson.relay.pipelining import Answer, Answers, ConnectionBroken, Pipeline

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lamson.net.tls import Security
    from lamson.storage.outgoing import Outgoing

IDLE = 30.0  # seconds after which a kept connection is tried out before it is used


@dataclass(frozen=True, slots=True)
class Refusal:
    """One recipient that was not taken, and the server's reply."""

    recipient: str
    reply: str
    is_permanent: bool


class Outcome(NamedTuple):
    """Whom the server refused, and its answer to the whole, such as "250 2.0.0 Ok: queued as"."""

    refusals: list[Refusal]
    reply: str


class SubmitterDown(Exception):
    """The server could not be reached, secured or logged in to, or hung up: try again later.

    ``is_ours``: it was not even tried, since this process has no descriptor left for it.
    """

    def __init__(self, problem: str, *, is_ours: bool = False) -> None:
        super().__init__(problem)
        self.is_ours = is_ours


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where and how to submit.

    ``tls_name`` is the name its certificate has to have, where that is not ``host``; ``timeout`` is
    in seconds, for each command.
    """

    host: str
    port: int
    security: Security = "none"
    user: str | None = None
    secret: str | None = None
    ca_file: Path | None = None
    tls_name: str | None = None
    timeout: float = 60.0
    hostname: str | None = None


class Submitter:
    """A connection that is opened when it is first needed."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._pipeline: Pipeline | None = None
        self._offers_smtputf8 = False
        self._offers_dsn = False
        self._used_at = 0.0
        self._connecting = asyncio.Lock()

    async def submit(self, row: Outgoing) -> Outcome:
        """Submit one message; gives what became of it.

        Raises SubmitterDown when there is no telling: the connection failed on the way.
        """
        try:
            refused, final = await self._send(row)
        except ConnectionBroken as error:
            raise SubmitterDown(f"{self}: {error}") from error
        self._used_at = time.monotonic()
        refusals = [Refusal(one, str(answer), answer.code >= 500) for one, answer in refused]
        if final.is_positive or len(refusals) == len(row.recipients):
            return Outcome(refusals, str(final))
        return _all(row, str(final), final.code >= 500)

    async def _send(self, row: Outgoing) -> Answers:
        pipeline = await self._connected()
        content = row.octets
        options = "" if content.isascii() else " BODY=8BITMIME"
        if row.smtputf8:
            if not self._offers_smtputf8:
                answer = Answer(550, "5.6.7 the submission server does not offer SMTPUTF8")
                return [(one, answer) for one in row.recipients], answer
            options += " SMTPUTF8"
        option_of: Callable[[str], str] = wanted_reports.of_nobody
        if row.envid and self._offers_dsn:
            options += wanted_reports.of_mail(row.envid)
            option_of = partial(wanted_reports.of_recipient, row.notify)
        try:
            return await pipeline.send(row.sender, row.recipients, content, options, option_of)
        except ConnectionBroken as error:
            if error.is_doubtful:
                raise
        pipeline = await self._connected()  # another one: that one ended before our turn
        return await pipeline.send(row.sender, row.recipients, content, options, option_of)

    async def close(self) -> None:
        """Say QUIT where somebody listens still."""
        pipeline, self._pipeline = self._pipeline, None
        if pipeline is not None:
            pipeline.close()

    async def _connected(self) -> Pipeline:
        pipeline = self._pipeline
        if pipeline is not None and pipeline.is_busy and pipeline.is_usable:
            return pipeline
        async with self._connecting:
            return await self._connect()

    async def _connect(self) -> Pipeline:
        """The connection as it is, where the server is still there, or a new one."""
        pipeline = self._pipeline
        if pipeline is not None and time.monotonic() - self._used_at > IDLE:
            with suppress(ConnectionBroken):
                await pipeline.check()
        if pipeline is not None and pipeline.is_usable:
            return pipeline
        self._pipeline = None
        end = self._endpoint
        client = aiosmtplib.SMTP(
            hostname=end.host,
            port=end.port,
            local_hostname=end.hostname,
            timeout=end.timeout,
            use_tls=end.security == "tls",
            start_tls=end.security == "starttls",
            tls_context=None if end.security == "none" else self._tls_context(),
        )
        try:
            await client.connect()
            if client.is_ehlo_or_helo_needed:
                await client.ehlo()
            await self._log_in(client)
        except (errors.SMTPException, OSError, UnicodeError) as error:  # such as mail..example
            client.close()
            is_ours = any(map(descriptors.is_shortage, (error, *_causes(error))))
            raise SubmitterDown(f"{self}: {_reason(error)}", is_ours=is_ours) from error
        assert isinstance(client.transport, asyncio.Transport)
        self._offers_smtputf8 = client.supports_extension("smtputf8")
        self._offers_dsn = client.supports_extension("dsn")
        self._pipeline = Pipeline(
            client.transport, end.timeout, is_pipelining=client.supports_extension("pipelining")
        )
        self._used_at = time.monotonic()
        return self._pipeline

    async def _log_in(self, client: aiosmtplib.SMTP) -> None:
        """By SASL PLAIN, else LOGIN; with TLS no other mechanism is any safer."""
        end = self._endpoint
        if end.user is None:
            return
        offered = {method.lower() for method in client.server_auth_methods}
        if "plain" in offered:
            await client.auth_plain(end.user, end.secret or "")
        elif "login" in offered:
            await client.auth_login(end.user, end.secret or "")
        else:
            raise errors.SMTPException(
                "it offers neither AUTH PLAIN nor AUTH LOGIN"
                + (f", but {', '.join(sorted(offered))}" if offered else "")
            )

    def _tls_context(self) -> ssl.SSLContext:
        try:
            return tls.client_context(self._endpoint.ca_file, self._endpoint.tls_name)
        except SettingsError as error:
            raise SubmitterDown(f"{self}: {error}") from error

    def __str__(self) -> str:
        return f"submission to {self._endpoint.host}:{self._endpoint.port}"


def _all(row: Outgoing, reply: str, is_permanent: bool) -> Outcome:
    return Outcome([Refusal(one, reply, is_permanent) for one in row.recipients], reply)


def _causes(error: BaseException) -> Iterator[BaseException]:
    while cause := error.__cause__ or error.__context__:
        yield cause
        error = cause


def _reason(error: Exception) -> str:
    if isinstance(error, errors.SMTPResponseException):
        return f"{error.code} {error.message}"
    return tls.why(error) or str(error)
