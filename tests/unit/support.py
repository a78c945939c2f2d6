"""What several unit tests share: routers from handler source, and messages."""

from __future__ import annotations

import importlib
import secrets
import sys
import textwrap
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

import sqlalchemy
from sqlalchemy import event
from sqlalchemy.engine import Engine

from lamson.message.parsed import ParsedMessage
from lamson.message.request import MailRequest
from lamson.routing.router import Router
from lamson.smtp.envelope import Envelope, Peer, QueueId, Recipient
from lamson.storage.seen_key import Key, Source
from lamson.testing import Mailroom

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest
    from sqlalchemy.engine import Connection

    from lamson.routing.signing import Signer

DEFAULTS = {"host": r"test\.com", "user": "[a-z0-9.]+"}


def make_router(directory: Path, source: str, signer: Signer | None = None) -> Router:
    """A Router over one handler module with ``source``, written into ``directory``."""
    # Tests of other folders import this file by another name: a number would not be unique.
    name = f"handlers_under_test_{secrets.token_hex(8)}"
    text = "from lamson import *\nfrom sqlalchemy.orm import Session\nfrom sqlalchemy import text\n"
    (directory / f"{name}.py").write_text(text + textwrap.dedent(source), encoding="utf-8")
    importlib.invalidate_caches()
    sys.path.insert(0, str(directory))
    try:
        return Router.collect([name], DEFAULTS, signer=signer)
    finally:
        sys.path.remove(str(directory))


def make_mailroom(
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    source: str,
    *,
    chaos: bool = False,
    **values: object,
) -> Mailroom:
    """An application in ``directory`` with ``source`` for its handlers; close it after the test.

    ``values`` are further settings, of what Python writes as it reads it.
    """
    name = f"handlers_{secrets.token_hex(8)}"
    more = "".join(f", {key}={value!r}" for key, value in values.items())
    (directory / "config").mkdir()
    (directory / "config" / "settings.py").write_text(
        "from lamson.settings import Settings\n"
        f'settings = Settings(handlers=["{name}"], metadata=None{more})\n'
    )
    (directory / f"{name}.py").write_text(source)
    monkeypatch.setattr(sys, "path", [str(directory), *sys.path])
    return Mailroom(directory, directory / "run", chaos=chaos)


def make_key(name: bytes, content: bytes = b"", at: float = 0.0) -> Key:
    """The key of a delivery that came from ``name``, ``at`` seconds since the epoch."""
    return Source(name, int(at * 1_000_000), content).key("zed@example.com", "list@test.com")


def make_message(
    content: bytes = b"From: zed@example.com\r\nSubject: hello\r\n\r\nbody\r\n",
    *,
    sender: str = "zed@example.com",
    recipient: str = "list@test.com",
    queue_id: str = "",
    captures: dict[str, str] | None = None,
    proven: str = "",
) -> MailRequest:
    """``proven`` is the From domain that our own server has proved, "" for none."""
    envelope = Envelope(sender, (recipient,), Peer(ident=QueueId(queue_id)), id=queue_id or "local")
    shared = ParsedMessage(content, witness=Vouching(proven)) if proven else content
    return MailRequest(shared, envelope, Recipient(recipient, captures or {}))


class Vouching:
    """A witness that proves one From domain, and no envelope sender."""

    def __init__(self, domain: str) -> None:
        self._domain = domain

    def author(self, message: MailRequest) -> Literal["dmarc"] | None:
        return "dmarc" if message.content.from_address.endswith(f"@{self._domain}") else None

    def sender(self, message: MailRequest) -> bool:
        return False


def others_wait(connection: Connection) -> bool:
    """Whether somebody waits for a lock, on PostgreSQL."""
    asked = sqlalchemy.text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    return bool(connection.execute(asked).scalar())


@contextmanager
def connect_timeouts() -> Iterator[list[tuple[str, str]]]:
    """What each attempt to connect to a server gives it to answer, in seconds, and TCP to get what
    it sends through, in milliseconds, while entered."""
    asked: list[tuple[str, str]] = []

    def note(_dialect: object, _record: object, _args: object, options: dict[str, str]) -> None:
        asked.append((options["connect_timeout"], options["tcp_user_timeout"]))

    event.listen(Engine, "do_connect", note)
    try:
        yield asked
    finally:
        event.remove(Engine, "do_connect", note)
