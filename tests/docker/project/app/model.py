"""One table: a row for each letter that was counted, which may happen once."""

from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The base of all models."""


class Counted(Base):
    """No key forbids two rows for one letter: the tests look for them."""

    __tablename__ = "counted"

    id: Mapped[int] = mapped_column(primary_key=True)
    letter: Mapped[str]
    recipient: Mapped[str]
    queue_id: Mapped[str]
    node: Mapped[str]
