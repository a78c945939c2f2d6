"""Who has asked for a list. Who is on one, and what was posted, stands in tables of Lamson's."""

from sqlalchemy import Float, Text, delete
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

DAYS = 3  # for which he may answer


class Base(DeclarativeBase):
    """The base of all models."""


class Founder(Base):
    """Somebody who was asked whether he makes the list called ``name``."""

    __tablename__ = "founder"

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    address: Mapped[str] = mapped_column(Text)
    asked_at: Mapped[float] = mapped_column(Float)

    @classmethod
    def forget(cls, db: Session, now: float) -> None:
        """Those who have not answered: their addresses count no more."""
        db.execute(delete(cls).where(cls.asked_at < now - (DAYS + 1) * 86400))
