"""The mail that lies in the queues of a project, in order: what the window shows by default.

A shelf is a queue (Maildir): what the window handed over (``came``), what the application sent, as
the catching server of `lamson dev` keeps it (``sent``), and what is undeliverable (``kept``). The
newest `MOST` of each are known, and read once, a bounded part of each; older ones are shown by
`lamson queue`. A directory is looked into when it has changed. For any thread.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lamson.message.message import Message
from lamson.smtp import address
from lamson.storage import undeliverable
from lamson.web.mails import Mail, Page

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from lamson.web.mails import Place

MOST = 2000  # mails of one shelf that are known
ENOUGH = 256 * 1024  # octets of a mail that are read for a list
SEARCHED = 4000  # characters of a mail's text that are searched
REPLY = "X-Lamson-Window-Reply"


@dataclass(slots=True)
class _Shelf:
    path: Path
    seen: tuple[int, ...] = ()
    mails: dict[str, Mail] = field(default_factory=dict)  # by key
    files: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)


class Shelves:
    """The queues of a project: ``came``, ``sent`` and ``kept``, those of them that it has."""

    def __init__(self, queues: Mapping[str, Path]) -> None:
        self._shelves = {name: _Shelf(path) for name, path in queues.items()}
        self._lock = threading.Lock()

    def page(
        self,
        limit: int,
        *,
        before: Place | None = None,
        correspondent: str = "",
        search: str = "",
    ) -> Page:
        wanted = address.normalise(correspondent) if correspondent else ""
        words = search.casefold().split()
        with self._lock:
            found = [
                one
                for name, shelf in self._looked()
                for key, one in shelf.mails.items()
                if (before is None or one.place < before)
                and (not wanted or wanted in map(address.normalise, one.correspondents))
                and all(word in shelf.texts[key] for word in words)
            ]
        shown = sorted(found, key=lambda one: one.place, reverse=True)[:limit]
        return Page(shown, shown[-1].place if len(found) > len(shown) else None)

    def get(self, id: str) -> Mail | None:
        name, _, key = id.partition("/")
        with self._lock:
            self._looked()
            shelf = self._shelves.get(name)
            return None if shelf is None else shelf.mails.get(key)

    def content(self, id: str) -> bytes | None:
        name, _, key = id.partition("/")
        with self._lock:
            self._looked()
            shelf = self._shelves.get(name)
            file = None if shelf is None else shelf.files.get(key)
        if file is None:
            return None
        try:
            with open(file, "rb") as opened:
                stored = opened.read()
        except FileNotFoundError:
            return None
        return undeliverable.read(stored).content if name == "kept" else _unwrapped(stored)

    def answers(self, mail: Mail) -> Sequence[Mail]:
        with self._lock:
            return [
                one
                for _, shelf in self._looked()
                for one in shelf.mails.values()
                if mail.message_id and one.in_reply_to == mail.message_id
            ]

    def marker(self) -> str:
        with self._lock:
            return "-".join(f"{sum(shelf.seen):x}" for _, shelf in self._looked())

    def _looked(self) -> list[tuple[str, _Shelf]]:
        """All shelves, as they stand now."""
        for name, shelf in self._shelves.items():
            try:
                seen = tuple(os.stat(shelf.path / part).st_mtime_ns for part in ("new", "cur"))
            except FileNotFoundError:
                continue
            if seen != shelf.seen:
                self._look(name, shelf)
                shelf.seen = seen
        return list(self._shelves.items())

    def _look(self, name: str, shelf: _Shelf) -> None:
        files = {
            entry.name.partition(":")[0]: entry.path
            for part in ("new", "cur")
            for entry in os.scandir(shelf.path / part)
            if not entry.name.startswith(".")
        }
        newest = sorted(files, key=_order, reverse=True)[:MOST]
        shelf.files = {key: files[key] for key in newest}
        for known in (shelf.mails, shelf.texts):
            for key in known.keys() - shelf.files.keys():
                del known[key]
        for key, file in shelf.files.items():
            if key not in shelf.mails:
                try:
                    with open(file, "rb") as opened:
                        stored = opened.read(ENOUGH)
                        size = os.fstat(opened.fileno()).st_size
                except (FileNotFoundError, IsADirectoryError):
                    continue
                shelf.mails[key], shelf.texts[key] = _read(name, key, stored, size)


def _order(key: str) -> tuple[float, str]:
    """What sorts keys by when they came; see `lamson.storage.maildir`."""
    return _time(key), key


def _time(key: str) -> float:
    seconds, _, rest = key.partition(".")
    if not seconds.isdecimal() or len(seconds) > 12:
        return 0.0
    micros = rest[1:].partition("P")[0] if rest.startswith("M") else ""
    return int(seconds) + (int(micros) / 1e6 if micros.isdecimal() and len(micros) < 7 else 0.0)


def _read(name: str, key: str, stored: bytes, size: int) -> tuple[Mail, str]:
    """What a list shows of it, and in what it is searched for."""
    note = ""
    top = Message(stored)
    message = top
    from_ = tuple(one.address for one in top.from_[:1])
    if name == "kept":
        kept = undeliverable.read(stored)
        message = Message(kept.content)
        from_ = tuple(one.address for one in message.from_[:1])
        note = kept.reason
        theirs: tuple[str, ...] = from_ or ((kept.sender,) if kept.sender else ())
        ours: tuple[str, ...] = (kept.recipient,) if kept.recipient else ()
        is_out = False
    else:
        recipients = tuple(dict.fromkeys(top.get_all("Delivered-To")))
        sender = (top.get("Return-Path") or "").strip().strip("<>")
        is_out = name == "sent"
        theirs, ours = (recipients, from_) if is_out else (from_ or (sender,), recipients)
        note = "" if is_out else "; ".join(dict.fromkeys(top.get_all(REPLY)))
    mail = Mail(
        id=f"{name}/{key}",
        direction="out" if is_out else "in",
        at=_time(key),
        correspondents=theirs,
        ours=ours,
        subject=message.subject,
        size=size,
        message_id=message.message_id or "",
        in_reply_to=next(iter(message.in_reply_to), ""),
        note=note,
        is_undeliverable=name == "kept",
    )
    text = " ".join((mail.subject, *theirs, *ours, note, message.body[:SEARCHED]))
    return mail, text.casefold()


def _unwrapped(stored: bytes) -> bytes:
    """The message without what a final delivery put on top of it."""
    while stored.partition(b":")[0].lower() in _ON_TOP:
        end = stored.find(b"\n")
        while end >= 0 and stored[end + 1 : end + 2] in (b" ", b"\t"):
            end = stored.find(b"\n", end + 1)
        if end < 0:
            break
        stored = stored[end + 1 :]
    return stored


_ON_TOP = {b"return-path", b"delivered-to", b"x-original-to", REPLY.lower().encode()}
