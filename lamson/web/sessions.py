"""Who is in: sessions of those who know the password, or whom the proxy in front has let in.

For `lamson.web.guard`. A session lives in the memory of this process and nowhere else, so that
who has left is out, whoever has kept the cookie; of the cookie only a digest is kept. So is who
entered by a password that was changed since: it is changed because somebody else knows it.
Attempts to enter are few: what is wrong too often, from one address or from all together, is not
looked at for a while. A password that is too long for guesses is looked at all the same, so that
nobody can keep out who knows it: behind a proxy, or on one machine, all have the same address.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lamson.errors import LamsonError

if TYPE_CHECKING:
    from collections.abc import Callable

COOKIE = "lamson-window"
IDLE = 12 * 3600.0  # seconds for which a session lives unused
MOST = 500  # sessions; the one that was unused for longest goes
ATTEMPTS = 5  # that fail within a minute, from one address
ATTEMPTS_OF_ALL = 60
UNGUESSABLE = 32  # characters of a password
_MINUTE = 60.0
_ADDRESSES = 1000


@dataclass(slots=True)
class Session:
    """Somebody who is in. ``csrf`` stands in each form of his pages; ``news`` is shown once.

    ``entered_by`` is a digest of the password, b"" of who came by the proxy."""

    user: str
    csrf: str
    used_at: float
    entered_by: bytes = b""
    news: list[str] = field(default_factory=list)


class Sessions:
    """All sessions of this process. For any thread."""

    def __init__(
        self, password: Callable[[], str | None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``password`` is read at each attempt; None lets nobody enter by one."""
        self._password = password
        self._clock = clock
        self._lock = threading.Lock()
        self._sessions: OrderedDict[bytes, Session] = OrderedDict()
        self._failed: OrderedDict[str, list[float]] = OrderedDict()

    def enter(self, given: str, peer: str) -> str | None:
        """The cookie for who knows the password; None for who does not, or has tried too often."""
        wanted = self._password()
        if self.is_barred(peer) and len(wanted or "") < UNGUESSABLE:
            return None
        is_right = wanted is not None and hmac.compare_digest(
            hashlib.sha256(given.encode("utf-8", "surrogatepass")).digest(),
            hashlib.sha256(wanted.encode("utf-8", "surrogatepass")).digest(),
        )
        if not (is_right and wanted):
            self._note_failure(peer)
            return None
        cookie = secrets.token_urlsafe(32)
        with self._lock:
            self._add(_digest(cookie), "", _digest(wanted, "password"))
        return cookie

    def is_barred(self, peer: str) -> bool:
        """Whether so many attempts failed that no other is looked at."""
        since = self._clock() - _MINUTE
        with self._lock:
            for name in [one for one, times in self._failed.items() if times[-1] < since]:
                del self._failed[name]
            of_all = sum(sum(at >= since for at in times) for times in self._failed.values())
            mine = sum(at >= since for at in self._failed.get(peer, ()))
        return mine >= ATTEMPTS or of_all >= ATTEMPTS_OF_ALL

    def of_cookie(self, cookie: str) -> Session | None:
        """The session of that cookie; None where there is none, or not any more."""
        key = _digest(cookie)
        with self._lock:
            session = self._used(key)
        if session is None or session.entered_by == self._now_entered_by():
            return session
        with self._lock:
            self._sessions.pop(key, None)
        return None

    def _now_entered_by(self) -> bytes | None:
        """None where there is no password, or none that can be read."""
        try:
            wanted = self._password()
        except LamsonError:
            return None
        return None if wanted is None else _digest(wanted, "password")

    def of_user(self, user: str) -> Session:
        """The session of somebody whom the proxy names."""
        key = _digest(user, "user")
        with self._lock:
            return self._used(key) or self._add(key, user, b"")

    def leave(self, cookie: str) -> None:
        """End the session."""
        with self._lock:
            self._sessions.pop(_digest(cookie), None)

    def _used(self, key: bytes) -> Session | None:
        session = self._sessions.get(key)
        now = self._clock()
        if session is None or now - session.used_at > IDLE:
            self._sessions.pop(key, None)
            return None
        session.used_at = now
        self._sessions.move_to_end(key)
        return session

    def _add(self, key: bytes, user: str, entered_by: bytes) -> Session:
        session = Session(user, secrets.token_urlsafe(24), self._clock(), entered_by)
        self._sessions[key] = session
        while len(self._sessions) > MOST:
            self._sessions.popitem(last=False)
        return session

    def _note_failure(self, peer: str) -> None:
        with self._lock:
            times = self._failed.setdefault(peer, [])
            times.append(self._clock())
            del times[:-ATTEMPTS]
            self._failed.move_to_end(peer)
            while len(self._failed) > _ADDRESSES:
                self._failed.popitem(last=False)


def _digest(text: str, kind: str = "cookie") -> bytes:
    """Of a cookie, a password, or what the proxy calls somebody: no cookie may stand for him."""
    return hashlib.sha256(f"{kind} {text}".encode("utf-8", "surrogatepass")).digest()
