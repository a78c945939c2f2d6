"""A window on queues and a database of the test's own, in this process."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from lamson.message.compose import prepend_headers
from lamson.settings import Journal, Settings, Web
from lamson.storage import undeliverable
from lamson.storage.database import Database
from lamson.storage.maildir import Maildir
from lamson.storage.undeliverable import Kept
from lamson.web.development import Development, Faults
from lamson.web.journal_mails import JournalMails
from lamson.web.sessions import Sessions
from lamson.web.shelves import Shelves
from lamson.web.site import site
from lamson.web.view import Window

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from httpx import Response

with warnings.catch_warnings():  # it would rather have a newer httpx
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

PASSWORD = "sesame, and more of it"
HOST = "http://127.0.0.1"


@dataclass(frozen=True, slots=True)
class Said:
    """What the service says of a recipient."""

    recipient: str
    code: int
    text: str


@dataclass
class House:
    """The window, its queues, and what was handed to the service."""

    window: Window
    sent: Maildir
    came: Maildir
    kept: Maildir
    sessions: Sessions
    handed: list[tuple[str, list[str], bytes]] = field(default_factory=list)
    unrouted: set[str] = field(default_factory=set)

    def hand(self, sender: str, recipients: Sequence[str], content: bytes, /) -> list[Said]:
        self.handed.append((sender, list(recipients), content))
        none = (550, "5.1.1 No route for this recipient")
        return [
            Said(one, *(none if one in self.unrouted else (250, "2.0.0 Ok"))) for one in recipients
        ]

    def went(self, content: bytes, to: str = "zed@example.com") -> str:
        """The application sent it; gives its id."""
        fields = [("Return-Path", "<app@test.com>"), ("Delivered-To", to)]
        return f"sent/{self.sent.push(prepend_headers(content, fields))}"

    def keep(self, content: bytes, reason: str) -> str:
        """It was undeliverable; gives its id."""
        one = Kept(content, reason, "zed@example.com", "app@test.com", "4abc")
        return f"kept/{undeliverable.write(self.kept, one)}"

    def visitor(self, *, is_in: bool = True, **more: Any) -> Visitor:
        """A browser; who ``is_in`` has said the password."""
        client = TestClient(site(self.window, self.sessions), base_url=HOST, **more)
        visitor = Visitor(client)
        if is_in:
            assert visitor.enter(PASSWORD).status_code == 200
        return visitor


class Visitor:
    """Somebody with a browser."""

    def __init__(self, client: TestClient) -> None:
        self.client = client

    def enter(self, password: str) -> Response:
        answer: Response = self.client.post(
            "/login", data={"password": password}, headers={"Origin": HOST}
        )
        return answer

    def get(self, path: str, **more: Any) -> Response:
        answer: Response = self.client.get(path, **more)
        return answer

    def post(self, path: str, files: Any = None, **form: str) -> Response:
        """Send a form of one of our pages."""
        page = self.client.get("/outbox").text
        token = re.search(r'name="csrf" value="([^"]+)"', page)
        assert token is not None
        answer: Response = self.client.post(
            path, data={"csrf": token[1], **form}, files=files, headers={"Origin": HOST}
        )
        return answer


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """`lamson dev`'s window: it lets write and change."""
    run = tmp_path / "run"
    database = Database(f"sqlite:///{tmp_path}/house.db")
    database.create_all()
    queues = {name: run / folder for name, folder in _FOLDERS.items()}
    sent, came, kept = (Maildir(queues[name], safe=False) for name in ("sent", "came", "kept"))
    settings = Settings(handlers=[], run_dir=run, web=Web())
    window = Window(
        tmp_path,
        settings,
        Shelves(queues),
        Shelves({"kept": queues["kept"]}),
        database,
        is_writable=True,
    )
    made = House(window, sent, came, kept, Sessions(lambda: PASSWORD))
    window.development = Development(made.hand, came, Faults(tmp_path), lambda: "")
    yield made
    database.close()


_FOLDERS = {"sent": "queue", "came": "window", "kept": "undeliverable"}


@pytest.fixture
def journaled(house: House) -> House:
    """The same, where a journal of whole messages is kept."""
    database = house.window.database
    assert database is not None
    assert house.window.development is not None
    came = Shelves({"came": house.window.settings.run_dir / _FOLDERS["came"]})
    mails = JournalMails(database, house.window.mails, came)
    house.window.mails, house.window.development.has = mails, mails.has
    settings = house.window.settings
    house.window.settings = settings.model_copy(update={"journal": Journal("whole")})
    return house


@pytest.fixture
def visitor(house: House) -> Visitor:
    """Somebody who is in."""
    return house.visitor()
