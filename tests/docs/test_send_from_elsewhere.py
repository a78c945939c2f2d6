"""docs/how-to/send-from-elsewhere.md: its programs do what it says."""

from __future__ import annotations

import asyncio
import io
import os
import runpy
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from sqlalchemy import create_engine

from lamson.storage import migrate, tasks
from lamson.storage.database import Database
from lamson.storage.outbox import Outbox
from tests.docs.blocks import blocks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGE = "how-to/send-from-elsewhere.md"
SETTINGS = """\
from lamson.settings import Settings
settings = Settings(
    database="sqlite:///run/lamson.db", handlers=["no.such.module"], domains=["test.com"]
)
"""


class Shop:
    """A project, and the programs of the page beside it."""

    def __init__(self, directory: Path) -> None:
        self.project = directory / "project"
        (self.project / "config").mkdir(parents=True)
        (self.project / "run").mkdir()
        (self.project / "config" / "settings.py").write_text(SETTINGS)
        self.url = f"sqlite:///{self.project}/run/lamson.db"
        self.database = Database(self.url)
        migrate.upgrade_ours(self.database)
        self.outbox = Outbox(self.database, "look")
        self.directory = directory

    def block(self, name: str) -> str:
        [text] = [block.text for block in blocks(PAGE) if block.file == name]
        return text

    def run(self, name: str) -> dict[str, Any]:
        file = self.directory / name
        file.write_text(self.block(name))
        return runpy.run_path(str(file))

    def subjects(self) -> list[str]:
        """Of what is in the outbox."""
        contents = [self.outbox.content(row.id) or b"" for row in self.outbox.all()]
        found = [line for one in contents for line in one.split(b"\r\n") if line[:8] == b"Subject:"]
        return [line.decode()[9:] for line in found]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    shop = Shop(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("MAIL_PROJECT", str(shop.project))
    monkeypatch.setenv("SHOP_DATABASE", shop.url)
    monkeypatch.chdir(tmp_path)
    yield shop
    shop.database.close()


def test_fastapi(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_DATABASE", shop.url.replace("sqlite:", "sqlite+aiosqlite:"))
    program = shop.run("shop_fastapi.py")

    async def use() -> None:
        async with program["engine"].begin() as connection:
            await connection.run_sync(program["Base"].metadata.create_all)
        transport = httpx.ASGITransport(app=program["app"], raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            for status in (200, 500):  # the number is there the second time
                answer = await client.post("/orders/17?buyer=zed@example.com")
                assert answer.status_code == status
        await program["engine"].dispose()

    asyncio.run(use())
    assert shop.subjects() == ["Order 17"]


def test_flask(shop: Shop) -> None:
    program = shop.run("shop_flask.py")
    program["Base"].metadata.create_all(program["engine"])
    client = program["app"].test_client()
    for number in (17, 18):
        assert client.post(f"/orders/{number}", data={"buyer": "zed@example.com"}).text == "ordered"
    assert len(shop.outbox.scheduled()) == 2
    assert client.post("/orders/17", data={"buyer": "zed@example.com"}).status_code == 500
    assert client.post("/orders/17/payment").text == "paid"
    assert len(shop.outbox.scheduled()) == 1
    program["engine"].dispose()


def test_django(shop: Shop) -> None:
    program = shop.run("shop_django.py")
    from django.db import connection

    with connection.schema_editor() as editor:
        editor.create_model(program["Order"])
    order = program["order"]("zed@example.com")
    assert shop.subjects() == ["Order 1"]
    left_out = program["Order"].objects.create(buyer="ann@example.com")
    program["Order"].objects.filter(pk=order.pk).update(is_told=False)
    program["tell_the_rest"]()
    assert shop.subjects() == ["Order 1", f"Order {left_out.pk}"]
    assert not program["Order"].objects.filter(is_told=False).exists()
    connection.close()


def test_a_plain_script(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    for members in ("zed@example.com", "zed@example.com ann@example.com"):
        monkeypatch.setattr(sys, "stdin", io.StringIO(members))
        shop.run("remind.py")["mailer"].close()
    assert [row.recipients for row in shop.outbox.all()] == [
        ("zed@example.com",),
        ("ann@example.com",),
    ]


def test_a_cron_job(shop: Shop) -> None:
    scripts = os.path.dirname(sys.executable)
    for _ in range(2):
        subprocess.run(
            ["/bin/sh", "-ec", shop.block("cron")],
            cwd=shop.project,
            env={**os.environ, "PATH": f"{scripts}:{os.environ['PATH']}"},
            check=True,
        )
    assert shop.subjects() == ["Report"]


def test_work_after_the_commit(shop: Shop) -> None:
    module = shop.project / "app" / "handlers" / "stock.py"
    module.parent.mkdir(parents=True)
    module.write_text(shop.block("app/handlers/stock.py"))
    settings = shop.project / "config" / "settings.py"
    settings.write_text(SETTINGS.replace("no.such.module", "app.handlers.stock"))
    (shop.directory / "sell.py").write_text(
        shop.block("shop_stock.py") + "\nfor _ in range(2):\n    sell(17, 'bread')\n"
    )
    subprocess.run(
        [sys.executable, str(shop.directory / "sell.py")],
        cwd=shop.project,
        env={**os.environ, "PYTHONPATH": str(shop.project)},
        check=True,
    )
    with shop.database.read() as connection:
        [task] = tasks.waiting(connection)
    assert task.kind == "later"
    assert task.payload["arguments"] == {"article": "bread", "number": 1}


def test_the_tables_that_a_role_needs_are_there(shop: Shop) -> None:
    engine = create_engine(shop.url)
    with engine.connect() as connection:
        known = connection.exec_driver_sql("SELECT name FROM sqlite_master").scalars().all()
    engine.dispose()
    page = "".join(block.text for block in blocks(PAGE))
    assert "Mailer.of" in page
    names = {"lamson_outbox", "lamson_content", "lamson_scheduled", "lamson_keys", "lamson_version"}
    assert names <= set(known)
