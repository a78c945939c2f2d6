"""Topics, and what people say about them."""

from sqlalchemy import ForeignKey, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    """The base of all models."""


class Person(Base):
    """Somebody who has said something."""

    __tablename__ = "person"

    id: Mapped[int] = mapped_column(primary_key=True)
    address: Mapped[str] = mapped_column(Text, unique=True)


class Topic(Base):
    """What is talked about."""

    __tablename__ = "topic"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(Text)
    comments: Mapped[list["Comment"]] = relationship(back_populates="topic", order_by="Comment.id")


class Comment(Base):
    """What somebody said, on the web or by mail."""

    __tablename__ = "comment"

    id: Mapped[int] = mapped_column(primary_key=True)
    topic_id: Mapped[int] = mapped_column(ForeignKey("topic.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    text: Mapped[str] = mapped_column(Text)
    topic: Mapped[Topic] = relationship(back_populates="comments")
    person: Mapped[Person] = relationship()
