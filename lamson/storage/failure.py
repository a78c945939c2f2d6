"""What an error means for the deliveries that met it.

For the transaction and the dispatcher, which decide by it: whose fault it was, and whether it is
known that nothing was committed. Handlers wrap a database's errors in their own, so the causes
count as well.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sqlalchemy import exc

from lamson import metrics
from lamson.errors import DatabaseError, LamsonError, UnavailableError
from lamson.net.descriptors import is_shortage

if TYPE_CHECKING:
    from collections.abc import Iterator

_CONFLICTS = {"40001", "40P01"}  # serialization_failure, deadlock_detected
_LOCK_TIMEOUT = "55P03"  # lock_not_available
_READ_ONLY = "25006"  # read_only_sql_transaction
_DATA_EXCEPTION = "22"  # class of SQLSTATEs
_QUOTED = re.compile('".*"', re.DOTALL)
_OUTAGES = (
    exc.OperationalError,
    exc.InternalError,
    exc.InterfaceError,
    exc.TimeoutError,
    UnavailableError,
    DatabaseError,
)


class SharedTransactionError(exc.InvalidRequestError):
    """A handler asked for the end of the transaction that it shares, and was refused.

    So it is, on SQLite, where it would give options to the connection.
    """

    def __init__(self) -> None:
        super().__init__(
            "a handler must not end the transaction of its connection, which other deliveries "
            "share, nor set options of it: commit the session, or nothing, as its work is "
            "committed when it returns"
        )


class PrematureEnd(SharedTransactionError):
    """The transaction is not ours any more: a handler ended it, or SQLAlchemy takes it for ended.

    Most often nothing was committed. See `Transactions.run` for the rest.
    """


class AlteredConnection(PrematureEnd):
    """The database failed after a handler had altered the connection (``SET search_path``).

    Most often that is why. ``__cause__`` is how it failed; nothing was committed.
    """


def is_conflict(error: BaseException) -> bool:
    """True where the database ended this transaction in favour of another one."""
    return any(_sqlstate(one) in _CONFLICTS for one in _causes(error))


def is_outage(error: BaseException) -> bool:
    """True where database or disk failed, and not the handler: down, locked, full, read-only.

    Also where its tables are not those that we know, and where no descriptor was left.
    """
    return any(isinstance(one, _OUTAGES) or is_shortage(one) for one in _causes(error))


def is_known(error: BaseException) -> bool:
    """True where one line says enough: no traceback is needed to find a mistake of ours."""
    return isinstance(error, exc.SQLAlchemyError | OSError | LamsonError)


def is_one_deliverys(error: BaseException) -> bool:
    """True where one delivery of a batch may have failed it, and nothing was committed.

    A constraint that is checked at the commit, a conflict or a lock that another transaction keeps:
    the server said no. Where the server said nothing, the outcome is unknown.
    """
    return (
        isinstance(error, exc.IntegrityError | exc.DataError)
        or is_conflict(error)
        or _sqlstate(error) == _LOCK_TIMEOUT
    )


def count(error: BaseException) -> None:
    """For who wants to know in numbers how often the database refuses something."""
    kind = metrics.OTHER
    if is_conflict(error):
        kind = "conflict"
    elif is_outage(error):
        kind = "outage"
    metrics.count("database_errors", kind=kind)


def is_read_only(original: BaseException | None) -> bool:
    """True where the server of PostgreSQL takes no more writes in this session."""
    return getattr(original, "sqlstate", "") == _READ_ONLY


def hide_values(original: BaseException | None) -> str | None:
    """Take the values out of an error of PostgreSQL's driver; gives its text without them.

    It quotes those that it did not like, in the details or in the message itself. They are the
    parameters of the statement; whoever needs them finds them in ``orig.diag``.
    """
    message: str | None = getattr(getattr(original, "diag", None), "message_primary", None)
    if original is None or message is None:
        return None
    if getattr(original, "sqlstate", "").startswith(_DATA_EXCEPTION):
        message = _QUOTED.sub('"..."', message)
    original.args = (message,)
    return message


def brief(error: BaseException) -> str:
    """The error in one line."""
    text = str(getattr(error, "orig", None) or error)
    return " ".join(text.split()) or repr(error)


def _sqlstate(error: BaseException) -> str:
    return getattr(getattr(error, "orig", None), "sqlstate", None) or ""


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it was raised from or while handling."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or one.__context__
