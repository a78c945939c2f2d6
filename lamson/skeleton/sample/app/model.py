"""The tables of the application, as SQLAlchemy models.

After a change here write a migration (see README.md); `lamson syncdb` runs it.
"""

from sqlalchemy import Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The base of all models."""


class Entry(Base):
    """One entry in the guest book; without words, until its author has answered."""

    __tablename__ = "entry"

    id: Mapped[int] = mapped_column(primary_key=True)
    author: Mapped[str] = mapped_column(Text, index=True)
    words: Mapped[str] = mapped_column(Text, default="")
