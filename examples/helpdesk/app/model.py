"""The tickets."""

from sqlalchemy import Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

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

    @property
    def title(self) -> str:
        """The subject of all mail about it."""
        return f"[#{self.number}] {self.subject or 'Your question'}"

    @property
    def agents(self) -> list[str]:
        """Who gets what the customer writes."""
        return [self.agent] if self.agent else list(AGENTS)
