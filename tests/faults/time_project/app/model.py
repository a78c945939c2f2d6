"""One table without any constraint, so that what happened twice is there twice."""

from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The base of all models."""


class Happened(Base):
    """A function did its work for one name: who stayed in a state, or a slot."""

    __tablename__ = "happened"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    name: Mapped[str]
