"""How a filter is run: with the session it wants, and so that nothing it does breaks the milter.

For `transaction`, as its ``ask``. Whatever a filter raises, SystemExit too, is logged with the
queue id and defers the message (451 4.3.0); an SMTPError is the verdict it says. A filter's session
only reads: that the message is accepted here does not mean that Postfix can queue it.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lamson import log
from lamson.errors import LamsonError
from lamson.smtp.reply import LOCAL_ERROR, SMTPError
from lamson_milter.actions import MAX_LINES, Defer, Reject, decision

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqlalchemy.orm import Session

    from lamson.smtp.reply import Reply
    from lamson.storage.database import Database
    from lamson_milter.actions import Decision
    from lamson_milter.decision.verdicts import Subject
    from lamson_milter.filters import Filter

FAILED = Defer(LOCAL_ERROR.enhanced, LOCAL_ERROR.text, LOCAL_ERROR.code)


class Asking:
    """Runs filters. With ``raise_errors`` what a filter raises is raised: for tests."""

    def __init__(self, database: Database | None = None, *, raise_errors: bool = False) -> None:
        self._database = database
        self._raise_errors = raise_errors

    def __call__(
        self, one: Filter, subject: Subject, captures: Mapping[str, str], id: str
    ) -> Decision | None:
        """The filter's verdict. Raises nothing."""
        try:
            if not one.handler.needs_session:
                return decision(one.handler.call(subject, captures, None, None))
            with self._session() as session:
                return decision(one.handler.call(subject, captures, None, session))
        except SMTPError as error:
            return _verdict(error.reply)
        except BaseException as error:
            if self._raise_errors:
                raise
            log.logger.error("id=%s: filter %s failed: %r", id, one, error, exc_info=error)
            return FAILED

    @contextmanager
    def _session(self) -> Iterator[Session]:
        from sqlalchemy.orm import Session

        if self._database is None:
            raise LamsonError("a Session needs a database: set `database` in the settings")
        with self._database.read_only() as connection, Session(connection) as session:
            yield session


def _verdict(reply: Reply) -> Reject | Defer:
    """The reply as a verdict; what a handler's may leave out, or have in its text, is mended."""
    kind = Reject if reply.is_permanent else Defer
    words = [" ".join(line.split()) for line in reply.text.splitlines()]
    lines = [re.sub("[^ -~]", "?", line) for line in words if line]
    text = "\n".join(lines[:MAX_LINES]) or "Refused"
    return kind(reply.enhanced or f"{reply.code // 100}.0.0", text, reply.code)
