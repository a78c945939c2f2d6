"""Fixtures for tests with several connections to one PostgreSQL."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from lamson.routing.signing import Signer
from lamson.storage.database import Database
from tests.node import Node
from tests.unit.support import make_router

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy.engine import Connection

SIGNER = Signer(lambda: (b"the key of all nodes",))


class MakeNode(Protocol):
    def __call__(self, source: str = ..., *, options: str = ..., **more: Any) -> Node: ...


@pytest.fixture
def url(postgres_url: str) -> Iterator[str]:
    """A database with our tables."""
    database = Database(postgres_url)
    database.create_all()
    yield postgres_url
    database.close()


@pytest.fixture
def make_node(url: str, tmp_path: Path) -> Iterator[MakeNode]:
    """``make_node(source)`` gives a running node; ``options`` are settings of its sessions.

    Nodes made without ``source`` have the handlers of the one before. `node.hooks` of the handlers
    is their module.
    """
    with ExitStack() as stack:
        routers = []

        def make(source: str = "", *, options: str = "", **more: Any) -> Node:
            if source:
                routers.append(make_router(tmp_path, source, SIGNER))
            settings = f"-c lock_timeout=5s -c deadlock_timeout=50ms {options}"
            node = Node(routers[-1], f"{url}?options={settings}", tmp_path, **more)
            return stack.enter_context(node)

        yield make


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every handler that has run before counts as quick: messages sent at once share a batch."""
    monkeypatch.setattr("lamson.delivery.costs.QUICK", 3600.0)


@pytest.fixture
def connection(url: str) -> Iterator[Connection]:
    """A connection in autocommit mode, to prepare and to look."""
    database = Database(url)
    with database.read() as connection:
        yield connection
    database.close()
