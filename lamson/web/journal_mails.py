"""The mail of the journal, for the window: all that came and left, however it did.

Where the setting `journal` is on. What is undeliverable, and what the service refused before it was
a mail at all, stands in queues beside it (`lamson.web.shelves`). A mail to several addresses is one
for each here, as each has its own handler. For any thread.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from lamson.storage import LARGEST_ID, journal_rows, journal_search
from lamson.storage.outbox import Outbox
from lamson.web.mails import Mail, Page, Place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lamson.storage.database import Database
    from lamson.storage.journal_rows import JournalRow
    from lamson.web.mails import Mails

SHELF = "journal"  # what the ids begin with
_JUST_NOW = 100  # rows in which a mail stands that came a moment ago
_HOW = 'the setting journal=Journal("whole") keeps messages from then on'


class JournalMails:
    """What the journal in ``database`` has, and what stands in ``beside`` alone."""

    def __init__(self, database: Database, others: Mails, beside: Mails | None = None) -> None:
        """``others`` knows the mails whose ids are not ours, ``beside`` is listed with them."""
        self._database = database
        self._others = others
        self._beside = beside

    def page(
        self,
        limit: int,
        *,
        before: Place | None = None,
        correspondent: str = "",
        search: str = "",
    ) -> Page:
        rows, further = self._rows(limit, _before(before), correspondent, search)
        mails = [_mail(row) for row in rows]
        if self._beside is None:
            return Page(mails, further)
        # What is further back than the journal was looked through belongs to the next page.
        more = self._beside.page(limit, before=before, correspondent=correspondent, search=search)
        others = [one for one in more.mails if further is None or one.place > further]
        merged = sorted([*mails, *others], key=lambda one: one.place, reverse=True)
        shown = merged[:limit]
        if len(merged) > limit or (more.further is not None and further is None):
            return Page(shown, shown[-1].place)
        return Page(shown, further)

    def _rows(
        self, limit: int, before: int | None, correspondent: str, search: str
    ) -> tuple[list[JournalRow], Place | None]:
        with self._database.read() as connection:
            if words := search.split():
                rows, last = journal_search.search(connection, words, before=before, limit=limit)
                return rows, None if last is None else _place(last)
            if correspondent:
                rows, last = journal_search.conversation(
                    connection, correspondent, before=before, limit=limit
                )
                return rows, None if last is None else _place(last)
            rows = journal_rows.page(connection, before=before, limit=limit + 1)
        return rows[:limit], _place(rows[limit - 1].id) if len(rows) > limit else None

    def get(self, id: str) -> Mail | None:
        key = _key(id)
        if key is None:
            return self._others.get(id)
        with self._database.read() as connection:
            rows = journal_rows.find(connection, id=key)
            if not rows:
                return None
            octets = journal_search.octets_kept(connection, key)
        (row,) = rows
        return replace(_mail(row), facts=tuple(self._facts(row)), lack=_lack(row, octets))

    def content(self, id: str) -> bytes | None:
        key = _key(id)
        if key is None:
            return self._others.content(id)
        with self._database.read() as connection:
            found = journal_rows.content(connection, key)
            is_known = found is not None or bool(journal_rows.find(connection, id=key))
        return found or (b"" if is_known else None)

    def answers(self, mail: Mail) -> Sequence[Mail]:
        key = _key(mail.id)
        if key is None:
            return self._others.answers(mail)
        with self._database.read() as connection:
            rows = journal_rows.find(connection, id=key)
            sent = [one.id for row in rows for one in row.sent]
            return [_mail(row) for row in reversed(journal_search.of_ids(connection, sent))]

    def marker(self) -> str:
        with self._database.read() as connection:
            own = journal_search.marker(connection)
        return f"{own}-{self._others.marker()}"

    def has(self, message_id: str, recipient: str) -> bool:
        """Whether mail that was handed over a moment ago stands in the journal."""
        ours = journal_rows.name_of(recipient)
        with self._database.read() as connection:
            rows = journal_rows.page(connection, limit=_JUST_NOW)
        return any(
            row.direction == "in" and row.message_id == message_id and row.ours == ours
            for row in rows
        )

    def _facts(self, row: JournalRow) -> list[tuple[str, str]]:
        """What became of it."""
        if row.direction == "in":
            facts = [
                ("Postfix's queue id" if row.source.isalnum() else "In the log as", row.source),
                ("Handler", row.handler.replace(",", ", ")),
                ("State before", row.state),
                ("State after", row.next_state),
                ("Handled", f"{row.outcome}, {_time(row.done_at)}"),
                ("Reports", row.about if row.outcome != "kept" else ""),
            ]
        else:
            facts = [
                ("Row of the outbox", str(row.id)),
                ("Postfix's new queue id", ", ".join(_queued(row.reply))),
                ("Submission", f"{row.outcome}, {_time(row.done_at)}"),
                ("Waits", self._waits(row.id) if row.outcome in ("deferred", "mixed") else ""),
            ]
        facts.append(("Tracked as", row.envid))
        return [(name, value) for name, value in facts if value]

    def _waits(self, id: int) -> str:
        row = Outbox(self._database, "window").get(id)
        return "" if row is None else f"in the outbox, tried {row.attempts} times"


def _mail(row: JournalRow) -> Mail:
    is_out = row.direction == "out"
    is_kept = row.outcome == "kept"
    return Mail(
        id=f"{SHELF}/{row.id}",
        direction=row.direction,
        at=row.id / 1e9,
        correspondents=row.recipients if is_out else tuple(filter(None, [row.correspondent])),
        ours=tuple(filter(None, [row.ours])),
        subject=row.subject,
        size=row.size,
        message_id=row.message_id,
        note=row.about if is_kept else row.reply,
        is_undeliverable=is_kept,
        sent=tuple(f"{SHELF}/{one.id}" for one in row.sent),
    )


def _lack(row: JournalRow, octets: int) -> str:
    """What of the content is not in the journal."""
    if octets >= row.size:
        return ""
    if not octets:
        return f"Nothing that it says was kept; {_HOW}"
    return f"{octets} of its {row.size} octets are here; {_HOW}, up to journal.max_message"


def _key(id: str) -> int | None:
    shelf, _, key = id.partition("/")
    if shelf != SHELF:
        return None
    return min(int(key), LARGEST_ID) if key.isascii() and key.isdecimal() and len(key) < 20 else 0


def _place(id: int) -> Place:
    return Place(id / 1e9, f"{SHELF}/{id}")


def _before(place: Place | None) -> int | None:
    """The id that the rows of a page are below."""
    if place is None:
        return None
    own = _key(place.id)
    if own is None:  # among mails from elsewhere: by its time
        own = int(place.at * 1e9) if 0 <= place.at < LARGEST_ID / 1e9 else 0
    return own


def _time(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().isoformat(" ", "seconds")


def _queued(reply: str) -> list[str]:
    from lamson.tracing.postfix_log import QUEUED

    return list(dict.fromkeys(QUEUED.findall(reply)))
