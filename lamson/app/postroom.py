"""Where the mail of an application leaves: outbox and relay, who rings, and who keeps house."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from lamson.relay.bell import Bell
from lamson.relay.relay import Relay
from lamson.relay.submission import Endpoint, Submitter
from lamson.storage.held import HeldRows
from lamson.storage.housekeeping import DAY, Housekeeping
from lamson.storage.journal_purge import JournalPurge
from lamson.storage.journal_sent import JournalSent
from lamson.storage.outbox import Outbox
from lamson.storage.pace import Pace
from lamson.storage.room import Budget

if TYPE_CHECKING:
    from collections.abc import Callable

    from lamson.settings.model import Settings
    from lamson.storage.database import Database
    from lamson.storage.lease_owner import LeaseOwners
    from lamson.storage.maildir import Maildir
    from lamson.storage.service_clock import ServiceClock


class Postroom:
    """That of one process. Nothing runs before `start`."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        owners: LeaseOwners,
        undeliverable: Maildir,
        clock: ServiceClock,
        *,
        hostname: str,
        is_busy: Callable[[float], bool],
    ) -> None:
        """``is_busy`` is as of `Relay`."""
        submission, journal = settings.submission, settings.journal
        self._settings = settings
        self._hostname = hostname
        self.outbox = Outbox(
            database,
            owners.name(os.getpid()),
            HeldRows(budget=Budget(submission.max_buffered)),
            max_recipients=submission.max_recipients,
            journal=JournalSent(journal.max_message, is_whole=journal.keep == "whole")
            if journal.keep != "off"
            else None,
        )
        self.relay = Relay(
            self.outbox,
            undeliverable,
            lambda: Submitter(self._endpoint()),
            connections=submission.connections,
            max_age=submission.max_age,
            is_busy=is_busy,
            pace=Pace(database, submission.pace) if submission.pace else None,
        )
        self.bell = Bell(database, settings.run_dir, self.relay.wake)
        self.housekeeping = Housekeeping(
            database,
            clock,
            self.outbox,
            owners,
            keep_threads=settings.mail_threads.keep_days * DAY,
            journal=JournalPurge(journal.days, journal.max_octets),
        )

    def start(self) -> None:
        """Begin to listen and to keep house, on the running loop; `Relay.start` is apart."""
        self.bell.start()
        self.housekeeping.start()

    async def stop(self, timeout: float) -> None:
        """Submit what was committed, for ``timeout`` seconds at most, and end."""
        self.housekeeping.cancel()
        await self.bell.stop()
        try:
            await self.relay.drain(timeout)
        finally:
            await self.housekeeping.stop()

    def _endpoint(self) -> Endpoint:
        submission = self._settings.submission
        return Endpoint(
            host=submission.host,
            port=submission.port,
            security=submission.security,
            user=submission.user,
            secret=submission.password(),
            ca_file=submission.ca_file,
            tls_name=submission.tls_name,
            timeout=submission.timeout,
            hostname=self._hostname,
        )
