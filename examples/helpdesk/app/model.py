"""The tickets."""

from sqlalchemy import Text, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

AGENTS = ("ann@example.org", "bob@example.org")


class Base(DeclarativeBase):
    """The base of all models."""


class Ticket(Base):
    """One question of a customer, who wrote to support@ ``host``; ``agent`` is who answers it, ""
    for all of them."""

    __tablename__ = "ticket"

    number: Mapped[int] = mapped_column(primary_key=True)
    thread: Mapped[str] = mapped_column(Text, unique=True)
    subject: Mapped[str] = mapped_column(Text)
    host: Mapped[str] = mapped_column(Text)
    agent: Mapped[str] = mapped_column(Text, default="")
    is_open: Mapped[bool] = mapped_column(default=True)

    @classmethod
    def begin(cls, db: Session, thread: str, subject: str, host: str) -> "Ticket":
        """A new one; or that of the thread, should Lamson have forgotten the thread meanwhile."""
        known = db.scalars(select(cls).filter_by(thread=thread)).one_or_none()
        ticket = known or cls(thread=thread, subject=subject, host=host)
        db.add(ticket)
        db.flush()  # now it has its number
        return ticket

    @classmethod
    def of(cls, db: Session, thread: str) -> "Ticket":
        """That of a thread."""
        return db.scalars(select(cls).filter_by(thread=thread)).one()

    @property
    def title(self) -> str:
        """The subject of all mail about it."""
        return f"[#{self.number}] {self.subject or 'Your question'}"

    @property
    def agents(self) -> list[str]:
        """Who gets what the customer writes."""
        return [self.agent] if self.agent else list(AGENTS)
