"""Keys: mail that is sent once, whoever sends it how often.

For `Posting.send` and `Mailer.send`. Who claims a key in the transaction that its mail is written
in sends it; all others are given the Message-ID of that mail. One that claims it at the same time
waits for the end of that transaction, and has it where that was rolled back.
"""

from __future__ import annotations

import hashlib
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import Float, and_, cast, delete, func, literal, select
from sqlalchemy.dialects import postgresql, sqlite

from lamson.storage.tables import keys

if TYPE_CHECKING:
    from typing import Any

    from sqlalchemy import ColumnElement
    from sqlalchemy.engine import Connection

_DAY, _HOUR = 86400.0, 3600.0
_ATTEMPTS = 10  # to claim a key that others claim and give up at the same time


@dataclass(frozen=True, slots=True)
class Key:
    """What mail is sent once by: for ever, or for so many ``days`` and ``hours`` from then on.

    The time goes by the clock of the database (see `claim`). Raises ValueError for a name or a time
    that is none.
    """

    name: str
    days: float = 0.0
    hours: float = 0.0

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("a key needs a name")
        seconds = self.seconds
        if not math.isfinite(seconds) or seconds < 0 or ((self.days or self.hours) and not seconds):
            raise ValueError(f"a key holds for ever or for some time, not for {seconds:g} seconds")

    @classmethod
    def of(cls, key: Key | str) -> Key:
        """The key that a text stands for holds for ever. Raises TypeError for anything else."""
        if isinstance(key, str):
            return cls(key)
        if isinstance(key, cls):
            return key
        raise TypeError(f"a key is a str or a lamson.Key, not {type(key).__name__}")

    @property
    def seconds(self) -> float:
        """How long it holds; 0 is for ever."""
        return self.days * _DAY + self.hours * _HOUR

    @property
    def digest(self) -> bytes:
        """What stands for its name in the tables."""
        return hashlib.sha256(self.name.encode("utf-8", "surrogatepass")).digest()[:16]


def claim(
    connection: Connection,
    key: Key,
    message_id: str,
    now: float | None = None,
    schema: str | None = None,
) -> str | None:
    """Claim ``key`` for a mail in the caller's transaction.

    Gives None where it was free, else the Message-ID of the mail that has it. ``now`` is what the
    end of keys goes by; by default the clock of the database's server, so that one who sends, and
    whose own clock is wrong, neither ends another's key nor gives one that never ends. SQLite has
    no server: there it is the clock of the machine.
    """
    made: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
    begins = present(connection, now)
    until = begins + key.seconds if key.seconds else literal(0.0)
    values = {"name": key.digest, "message_id": message_id, "until": until}
    statement = (
        made.insert(keys)
        .values(values)
        .on_conflict_do_update(
            index_elements=[keys.c.name],
            set_={"message_id": message_id, "until": until},
            where=and_(keys.c.until != 0, keys.c.until <= begins),
        )
        .returning(keys.c.name)
    )
    options = in_schema(schema)
    holder = select(keys.c.message_id).where(keys.c.name == key.digest)
    for _ in range(_ATTEMPTS):
        if connection.execute(statement, execution_options=options).first() is not None:
            return None
        # It may be gone by now, cancelled by whoever had it.
        found = connection.execute(holder, execution_options=options).scalar()
        if found is not None:
            return str(found)
    raise RuntimeError(f"the key {key.name!r} is claimed and given up all the time")


def free(connection: Connection, digest: bytes, schema: str | None = None) -> None:
    """Its mail was cancelled: it can be sent anew."""
    statement = delete(keys).where(keys.c.name == digest)
    connection.execute(statement, execution_options=in_schema(schema))


def purge(connection: Connection, now: float | None, piece: int) -> int:
    """Forget some of those that have ended, in the caller's transaction; gives their number.

    ``now`` is as for `claim`."""
    over = select(keys.c.name).where(keys.c.until > 0, keys.c.until <= present(connection, now))
    over = over.limit(piece)
    over = over.with_for_update(skip_locked=True)  # that is being claimed anew
    return connection.execute(delete(keys).where(keys.c.name.in_(over))).rowcount


def present(connection: Connection, now: float | None = None) -> ColumnElement[float]:
    """In seconds since the epoch; by default what the database says, in the statement itself."""
    if now is not None or connection.dialect.name != "postgresql":
        return literal(time.time() if now is None else now, Float)
    return cast(func.extract("epoch", func.clock_timestamp()), Float)


def in_schema(schema: str | None) -> dict[str, Any]:
    """Execution options for a connection whose search path is another than ours."""
    return {} if schema is None else {"schema_translate_map": {None: schema}}
