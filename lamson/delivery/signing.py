"""The desk where the handlers of one delivery have tokens made, and get what was kept for one.

A token is made at once, as it needs no place where it is kept. A message that is to wait for who
comes with it is a row that the transaction of the delivery writes: where the handler fails, nothing
was kept.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lamson import log
from lamson.errors import AddressError, LamsonError
from lamson.message.request import MailRequest
from lamson.smtp.envelope import Envelope, Recipient
from lamson.smtp.reply import SMTPError
from lamson.storage import pending
from lamson.storage.pending import NoRoomError, Pending, Room

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy.engine import Connection

    from lamson.routing.purposes import Purposes
    from lamson.routing.router import Match

MAX_LOCAL = 64  # octets (RFC 5321 section 4.5.3.1.1)


class Desk:
    """For the handlers of one delivery, one after the other."""

    def __init__(self, purposes: Purposes, room: Room, connection: Connection | None) -> None:
        self._purposes = purposes
        self._room = room
        self._connection = connection
        self._found: dict[bytes, MailRequest | None] = {}
        self.match: Match | None = None  # of the handler that runs
        self.kept: list[Pending] = []  # for the transaction to write
        self._made: list[str] = []

    @property
    def has_token(self) -> bool:
        """Whether the address that was written to has one, which is for nobody else."""
        return self.match is not None and bool(self.match.tokens)

    def sign(
        self, purpose: str, payload: str, *, days: float | None, keep: MailRequest | None
    ) -> str:
        """A token. Raises what `Purposes.sign` raises; SMTPError (451 4.3.1) where ``keep`` has no
        room, LamsonError where there is no database to keep it in, or the token counts often."""
        text, token = self._purposes.sign(purpose, payload, days)
        self._made.append(text)
        if keep is not None:
            if not self._purposes.find(purpose).once:  # the same payload may have the same token
                raise LamsonError(
                    f"a message cannot wait for a token of {purpose!r}, which counts more than"
                    f" once: declare Signed({purpose!r}, ..., once=True)"
                )
            if self._connection is None:
                raise LamsonError(
                    "keeping a message needs a database: set `database` in the settings"
                )
            envelope = keep.envelope
            row = Pending(
                token.digest,
                token.expires,
                envelope.id,
                envelope.sender,
                keep.recipient.address,
                envelope.smtputf8,
                keep.raw,
            )
            self._take_room(row)
            self.kept.append(row)
        return text

    def token(self, purpose: str, payload: str) -> str:
        """One of many, of which nothing else is kept here. Raises what `Purposes.sign` raises."""
        return self._purposes.sign(purpose, payload)[0]

    def check_fits(self, texts: Iterable[str | None]) -> None:
        """Raise AddressError for an address with a token of ours whose local part is too long.

        Ours takes it, but the servers of those who are to write to it need not, and many do not.
        """
        for token in self._made:
            one = re.compile(rf'([^\s<>,:;"]*{token}[^\s<>,:;"@]*)@', re.IGNORECASE)
            for text in filter(None, texts):
                for found in one.finditer(text):
                    size = len(found[1].encode())
                    if size > MAX_LOCAL:
                        raise AddressError(
                            f"{found[1]!r} has {size} octets before the @, and other servers need"
                            f" take no more than {MAX_LOCAL} (RFC 5321, section 4.5.3.1.1): sign a"
                            " shorter payload, such as the id of a row, or shorten the rest"
                        )

    def _take_room(self, row: Pending) -> None:
        assert self._connection is not None
        try:
            self._room.take(self._connection, row.size)
        except NoRoomError as error:
            log.logger.error("id=%s: answered 451: no room to keep it: %s", row.source, error)
            raise SMTPError(451, "4.3.1", "Insufficient storage; try again later") from error

    def pending(self) -> MailRequest | None:
        """The message that was kept for the token that the address has; None where none was."""
        for token in self.match.tokens if self.match is not None else ():
            if token.digest not in self._found:
                self._found[token.digest] = self._find(token.digest)
            found = self._found[token.digest]
            if found is not None:
                return found
        return None

    def _find(self, digest: bytes) -> MailRequest | None:
        row = None if self._connection is None else pending.find(self._connection, digest)
        if row is None:
            return None
        envelope = Envelope(row.sender, (row.recipient,), smtputf8=row.smtputf8, id=row.source)
        return MailRequest(row.content, envelope, Recipient(row.recipient))
