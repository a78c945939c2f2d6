"""The web application: `uvicorn app.web:app` in the project's directory."""

from functools import cache
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException
from lamson import Mailer
from pydantic import BaseModel, Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.model import Person, Topic
from app.talk import notifications, say

app = FastAPI()


@cache
def project() -> Mailer:  # plumbing
    return Mailer.of()  # plumbing


Project = Annotated[Mailer, Depends(project)]  # plumbing


class Said(BaseModel):
    """What somebody says; who he is a real application knows by his login."""

    author: str = Field(pattern=r"^[^@\s<>,;:\"]+@[a-z0-9.-]+$")
    text: str = Field(min_length=1)


class Opened(Said):
    """What a topic begins with."""

    title: str = Field(pattern=r"^[^\r\n\x00]+$")


@app.post("/topics")
def open_topic(said: Opened, mailer: Project) -> dict[str, int]:
    with mailer.begin() as db:
        topic = Topic(title=said.title)
        say(db, topic, person(db, said.author), said.text)
        return {"id": topic.id}


@app.post("/topics/{id}/comments")
def comment(id: int, said: Said, mailer: Project) -> dict[str, int]:
    """The comment and the mail about it are one transaction."""
    with mailer.begin() as db:
        made = say(db, find(db, id), person(db, said.author), said.text)
        for mail in notifications(made, mailer):
            mailer.send(mail, db)
        return {"id": made.id}


@app.get("/topics/{id}")
def read(id: int, mailer: Project) -> list[dict[str, str]]:
    with mailer.begin() as db:
        comments = find(db, id).comments
        return [{"author": one.person.address, "text": one.text} for one in comments]


def find(db: Session, id: int) -> Topic:
    topic = db.get(Topic, id)
    if topic is None:
        raise HTTPException(404, "there is no such topic")
    return topic


def person(db: Session, address: str) -> Person:
    known = db.scalar(select(Person).filter_by(address=address))
    if known is None:
        known = Person(address=address)
        db.add(known)
    return known
