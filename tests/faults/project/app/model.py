"""One table without any constraint, so that what happened twice is there twice, and one with."""

from sqlalchemy import ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The base of all models."""


class Effect(Base):
    """A handler did its work for one recipient of one message."""

    __tablename__ = "effect"

    id: Mapped[int] = mapped_column(primary_key=True)
    message: Mapped[str]
    recipient: Mapped[str]
    token: Mapped[str]  # which the reply tells: no two runs of a handler have the same
    author: Mapped[str]
    step: Mapped[int]  # of the author, beginning with 0


class Click(Base):
    """The handler of signed addresses ran for this payload."""

    __tablename__ = "click"

    id: Mapped[int] = mapped_column(primary_key=True)
    payload: Mapped[str]


class Violation(Base):
    """A row that belongs to one that is not there; the database notices at COMMIT."""

    __tablename__ = "violation"

    id: Mapped[int] = mapped_column(primary_key=True)
    effect: Mapped[int] = mapped_column(
        ForeignKey("effect.id", deferrable=True, initially="DEFERRED")
    )
