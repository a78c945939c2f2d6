"""One table without any constraint, so that what happened twice is there twice."""

from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The base of all models."""


class Effect(Base):
    """A handler did its work for one recipient of one message."""

    __tablename__ = "effect"

    id: Mapped[int] = mapped_column(primary_key=True)
    message: Mapped[str]
    recipient: Mapped[str]
