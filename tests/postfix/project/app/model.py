"""The tables of the stories: small lists, and a row for each effect that must happen once."""

from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The base of all models."""


class MailingList(Base):
    __tablename__ = "mailing_list"

    name: Mapped[str] = mapped_column(primary_key=True)


class Member(Base):
    __tablename__ = "member"

    list_name: Mapped[str] = mapped_column(primary_key=True)
    address: Mapped[str] = mapped_column(primary_key=True)


class Request(Base):
    """Somebody asked to become a member, and has not confirmed yet."""

    __tablename__ = "request"

    token: Mapped[str] = mapped_column(primary_key=True)
    list_name: Mapped[str]
    address: Mapped[str]


class Effect(Base):
    """A handler did its work for one recipient of one queue entry."""

    __tablename__ = "effect"

    id: Mapped[int] = mapped_column(primary_key=True)
    queue_id: Mapped[str]
    recipient: Mapped[str]


class Told(Base):
    """What became of an invitation."""

    __tablename__ = "told"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    recipient: Mapped[str]
    status: Mapped[str]
    diagnostic: Mapped[str]
    state: Mapped[str]
    subject: Mapped[str]
