"""The obvious program: what one writes in an afternoon with well-known parts. ``PORT COUNTER``.

aiosmtpd, the standard library's parser, and for each recipient one SQLAlchemy transaction of two
rows (what was seen, and an answer to be sent) on SQLite with ``synchronous=FULL``. The write-ahead
log, which one has to know of, speaks in its favour.
"""

from __future__ import annotations

import asyncio
import sys
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, event
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from tests.bench.counter import Counter
from tests.bench.servers.empty_aiosmtpd import serve


class Base(DeclarativeBase):
    pass


class Seen(Base):
    __tablename__ = "seen"

    id: Mapped[int] = mapped_column(primary_key=True)
    message_id: Mapped[str]
    author: Mapped[str]
    recipient: Mapped[str]


class Answer(Base):
    __tablename__ = "answer"

    id: Mapped[int] = mapped_column(primary_key=True)
    recipient: Mapped[str]
    text: Mapped[str]


class Store:
    def __init__(self, counter: Counter, database: Path) -> None:
        self._counter = counter
        self._engine = create_engine(f"sqlite:///{database}")
        event.listen(self._engine, "connect", _durable)
        Base.metadata.create_all(self._engine)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        message = message_from_bytes(envelope.content, policy=policy.default)
        author, message_id = str(message["From"]), str(message["Message-ID"])
        for recipient in envelope.rcpt_tos:
            with Session(self._engine) as database, database.begin():
                database.add(Seen(message_id=message_id, author=author, recipient=recipient))
                database.add(Answer(recipient=author, text=f"Re: {message['Subject']}\n\nThanks"))
        self._counter.add(len(envelope.rcpt_tos))
        return "\r\n".join(["250 2.0.0 Ok"] * len(envelope.rcpt_tos))


def _durable(connection: Any, record: object) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")


if __name__ == "__main__":
    path = Path(sys.argv[2])
    asyncio.run(serve(int(sys.argv[1]), Store(Counter(path), path.with_suffix(".db"))))
