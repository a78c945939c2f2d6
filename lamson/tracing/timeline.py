"""The timeline of a mail: what each log and the database have of it, in the order of time.

One id leads to others: the queue id under which a mail came to that under which its answer left,
and that to the one of its bounce. Logs are read until no new id is found; each time with all that
are known, for an older line may be about a newer id. How many lines are kept is bounded.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from lamson.smtp import address
from lamson.tracing import lines, own_log, postfix_log
from lamson.tracing.lines import Wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from lamson.tracing.event import Event
    from lamson.tracing.lines import LogSource
    from lamson.tracing.wanted import Asked

MOST_EVENTS = 2000
MOST_IDS = 200
_TURNS = 6  # through the logs
_NOQUEUE = "NOQUEUE"


class Timeline:
    """Of what was ``asked``. ``postfix`` and ``own`` are the logs, newest first; ``ask_database``
    gives what that knows of these ids. ``limit`` mails of an address are looked at, the newest."""

    def __init__(
        self,
        asked: Asked,
        postfix: Sequence[LogSource],
        own: Sequence[LogSource],
        ask_database: Callable[[Sequence[str]], Iterable[Event]],
        *,
        limit: int = 10,
    ) -> None:
        self._asked = asked
        self._logs = [(source, False) for source in postfix] + [(source, True) for source in own]
        self._ask_database = ask_database
        self._limit = limit
        self._edges: dict[tuple[str, str], None] = {}
        self._known: dict[str, None] = {}
        self.problems: dict[str, str] = {}
        """By the name of a log: why it could not be read."""
        self.is_cut = False
        self.events: list[Event] = []
        self._refused: Sequence[Event] = ()  # what got no queue id

    @property
    def ids(self) -> list[str]:
        """All that belong to it, in the order in which they were found."""
        return list(self._known)

    def find(self) -> list[Event]:
        """All events, in order."""
        asked = self._asked
        of_database = list(self._ask_database(self._first_ids()))
        for event in of_database:
            self._follow(event, is_ours=True)
        names = {asked.message_id} if asked.message_id else set()
        if not asked.address:  # submission tells the queue id of no envid
            names |= {one.fields.get("message_id", "") for one in of_database} - {""}
        if asked.address or names:
            self._seek(names)
        found: list[Event] = []
        for _ in range(_TURNS):
            before = len(self._known)
            found = self._read()
            of_database = list(self._ask_database(self.ids))
            for event in of_database:
                self._follow(event, is_ours=True)
            if len(self._known) == before:
                break
        self.events = self._ordered([*of_database, *self._refused, *found])
        return self.events

    def _first_ids(self) -> list[str]:
        if not (self._asked.address or self._asked.message_id or self._asked.row):
            self._know(self._asked.id)
        return self.ids

    def _know(self, id: str) -> None:
        if id and id != _NOQUEUE and id not in self._known:
            if len(self._known) >= MOST_IDS:
                self.is_cut = True
            else:
                self._known[id] = None

    def _follow(self, event: Event, *, is_ours: bool = False) -> None:
        if is_ours:
            self._know(event.id)
        for before, after in event.leads:
            if before in self._known or after in self._known:
                self._edges[before, after] = None
                self._know(before)
                self._know(after)

    def _seek(self, message_ids: set[str]) -> None:
        """Find the ids of mail with this address or one of these Message-IDs: the newest ones."""
        asked = self._asked
        wanted = Wanted(message_ids, [asked.id, asked.address] if asked.address else [])
        newest: dict[str, float] = {}
        refused: deque[Event] = deque(maxlen=self._limit)
        for source, is_own in self._logs:
            for event in self._events(source, wanted, is_own=is_own):
                if not self._is_about(event, message_ids):
                    continue
                if event.id == _NOQUEUE:
                    refused.append(event)
                    continue
                newest[event.id] = max(newest.get(event.id, 0.0), event.at or 0.0)
                if len(newest) > 100 * self._limit:
                    newest = self._newest(newest)
        self._refused = tuple(refused)
        for id in self._newest(newest):
            self._know(id)

    def _newest(self, found: dict[str, float]) -> dict[str, float]:
        by_time = sorted(found, key=lambda id: found[id], reverse=True)
        self.is_cut |= len(by_time) > self._limit
        return {id: found[id] for id in by_time[: self._limit]}

    def _is_about(self, event: Event, message_ids: set[str]) -> bool:
        asked, fields = self._asked, event.fields
        if fields.get("message_id") in message_ids:
            return True
        if not asked.address:
            return False
        named = [fields.get(name, "") for name in ("sender", "recipient")]
        if event.where == "postfix":
            named = list(postfix_log.mailboxes(event))
        elif event.what in ("submitted", "deferred", "refused"):
            named += fields.get("recipients", "").split(",")
        return any(one and address.normalise(one) == asked.address for one in named)

    def _read(self) -> list[Event]:
        """One turn through all logs: the newest is read first, and stands last."""
        parts: list[list[Event]] = []
        left = MOST_EVENTS
        for source, is_own in self._logs:
            found: list[Event] = []
            parts.insert(0, found)
            wanted = Wanted(self._known)
            if not self._known:
                break
            for event in self._events(source, wanted, is_own=is_own):
                self._follow(event)
                for id in self._known:
                    wanted.add(id)
                if event.id not in self._known:
                    continue
                if left == 0:
                    self.is_cut = True
                    break
                left -= 1
                found.append(event)
        return [event for part in parts for event in part]

    def _events(self, source: LogSource, wanted: Wanted, *, is_own: bool) -> Iterable[Event]:
        try:
            for line in lines.matching(source, wanted):
                event = (
                    own_log.parse(line) if is_own else postfix_log.parse(line, source.written_at)
                )
                if event is not None:
                    yield event
        except OSError as error:
            self.problems[str(source)] = error.strerror or str(error)

    def _ordered(self, events: Sequence[Event]) -> list[Event]:
        """By time. Where a log tells seconds alone, what happened in one second is in the order in
        which one thing comes of another."""
        steps = dict.fromkeys(self._known, 0)
        for _ in range(len(self._edges)):
            for before, after in self._edges:
                if steps.get(after, 0) <= steps.get(before, 0) < len(self._edges):
                    steps[after] = steps.get(before, 0) + 1
        is_precise = all(one.is_precise for one in events)

        def place(event: Event) -> tuple[float, int, int, float]:
            at = event.at or 0.0
            if is_precise:
                return at, 0, 0, at
            stage = 2 if event.is_late else 0 if event.where == "postfix" else 1
            return float(int(at)), steps.get(event.id, 0), stage, at

        return sorted(events, key=place)
