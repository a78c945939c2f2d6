"""A project for the pages of day two: its handler makes a row of each mail, and answers it."""

from __future__ import annotations

import smtplib
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from tests.docs.blocks import blocks, replaced
from tests.intro.shell import Shell
from tests.waiting import free_port

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = """\
from lamson.settings import Settings, Submission

settings = Settings(
    submission=Submission("127.0.0.1:1"),
    database="sqlite:///run/lamson.db",
    handlers=["app.handlers.counting"],
    route_defaults={"host": r"test\\.com"},
)
"""
MODEL = """\
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class Counted(Base):
    __tablename__ = "counted"

    id: Mapped[int] = mapped_column(primary_key=True)
    subject: Mapped[str]
"""
HANDLER = """\
from sqlalchemy.orm import Session

from app.model import Counted
from lamson import Delivery, MailRequest, route, stateless


@route("(user)@(host)", user="[a-z]+")
@stateless
def COUNT(message: MailRequest, delivery: Delivery, db: Session, user: str, host: str) -> None:
    if user == "broken":
        raise ValueError("a mistake of the handler")
    db.add(Counted(subject=message.subject))
    delivery.reply(body="counted", sender=f"{user}@test.com", subject="counted")
"""


class Project:
    """The project in ``directory``, with a prompt in it. Its tables are made."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        files = {
            "config/settings.py": SETTINGS,
            "app/__init__.py": "",
            "app/model.py": MODEL,
            "app/handlers/__init__.py": "",
            "app/handlers/counting.py": HANDLER,
        }
        for name, text in files.items():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_text(text)
        self.shell = Shell(directory)
        self.type(f"export LAMSON_LMTP__LISTEN=127.0.0.1:{self.port}", "lamson syncdb")
        made = "sqlite3 run/lamson.db 'CREATE TABLE counted (id INTEGER PRIMARY KEY, subject TEXT)'"
        self.type(made)

    def type(self, *lines: str) -> str:
        """Type lines that have to succeed; gives what was shown."""
        shown = ""
        for line in lines:
            status, output = self.shell.enter(line)
            assert status == 0, f"$ {line}\n{output}"
            shown += output
        return shown

    def follow(self, page: str, name: str, **instead: str) -> str:
        """Type the block ``name`` of a page, as it stands but for the keys of ``instead``."""
        (text,) = [block.text for block in blocks(page) if block.file == name]
        return self.type(*replaced(text, instead).splitlines())

    def send(self, *numbers: int, user: str = "users") -> None:
        """Hand mail over as Postfix does, the queue id and the subject made of its number."""
        with smtplib.LMTP("127.0.0.1", self.port, timeout=60) as client:
            client.ehlo()
            for number in numbers:
                client.docmd(f"XFORWARD IDENT=4ZxWQk{number:04d}z5tVb PROTO=ESMTP")
                sender = f"zed{number}@example.com"  # one alone would not get so many answers
                content = f"From: {sender}\r\nSubject: {number}\r\n\r\nhi\r\n"
                client.sendmail(sender, [f"{user}@test.com"], content)

    def counted(self) -> list[int]:
        """The numbers of the mail that the database has been told of, in order."""
        with closing(sqlite3.connect(self.directory / "run" / "lamson.db")) as connection:
            rows = connection.execute("SELECT subject FROM counted").fetchall()
        return sorted(int(subject) for (subject,) in rows)

    def close(self) -> None:
        self.shell.enter("lamson stop -KILL -timeout 5")
        self.shell.close()
