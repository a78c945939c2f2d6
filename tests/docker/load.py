"""A load of letters for the counting project, and the count of what came of them."""

from __future__ import annotations

import smtplib
import threading
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from lamson.containers import Cell, MailSystem

_SENDERS = 4


class Load:
    """Sends ``count`` letters, each by somebody else, from several clients at a time.

    Like any mail server these try again what Postfix does not take for now. Used as a context
    manager it ends when all letters have been taken. They go to ``domain``, and what came of them
    is in the databases of ``cells``, by default in that of the first one.
    """

    def __init__(
        self,
        system: MailSystem,
        name: str,
        count: int,
        domain: str = "count.test",
        cells: Sequence[MailSystem | Cell] = (),
    ) -> None:
        self._system = system
        self._cells = cells or [system]
        self._recipient = f"count-all@{domain}"
        self._name = name
        self._left = [f"{name}-{number}" for number in range(count)]
        self.letters = tuple(self._left)
        self.taken: list[str] = []
        self.put_off = 0
        self._errors: list[Exception] = []
        self._threads = [threading.Thread(target=self._send_all) for _ in range(_SENDERS)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._left.clear()
        for thread in self._threads:
            thread.join()
        if error is None and self._errors:
            raise self._errors[0]

    def _send_all(self) -> None:
        while self._left and not self._errors:
            letter = self._left.pop()
            try:
                wait_for(partial(self._send, letter), f"{letter} is taken", timeout=240)
            except Exception as error:  # noqa: BLE001 - the test's own thread raises it
                self._errors.append(error)

    def _send(self, letter: str) -> bool:
        try:
            self._system.send(f"{letter}@world.test", self._recipient, subject=letter)
        except smtplib.SMTPRecipientsRefused as refused:
            if any(code >= 500 for code, _ in refused.recipients.values()):
                raise
        except smtplib.SMTPResponseException as error:
            if error.smtp_code >= 500:
                raise
        else:
            self.taken.append(letter)
            return True
        self.put_off += 1
        return False

    def wait_counted(self, count: int) -> None:
        """Wait until this many letters of the load have been handled."""
        wait_for(lambda: self.counted() >= count, f"{count} letters are counted", timeout=60)

    def counted(self) -> int:
        return sum(int(number) for (number,) in self._select("count(*)"))

    def rows(self) -> Counter[tuple[str, ...]]:
        """How often each letter was handled for each recipient."""
        return Counter(self._select("letter, recipient"))

    def nodes(self) -> set[str]:
        """The nodes that handled letters of the load."""
        return {node for (node,) in self._select("node")}

    def _select(self, what: str) -> list[tuple[str, ...]]:
        query = f"select {what} from counted where letter like '{self._name}-%'"
        return [row for cell in self._cells for row in cell.query(query)]

    def answers(self) -> dict[str, list[str]]:
        """The Message-IDs of the answers that arrived, by letter."""
        found: dict[str, list[str]] = {}
        for arrived in self._system.world.messages():
            if (subject := arrived["Subject"] or "").startswith(f"Counted {self._name}-"):
                letter = subject.split()[1]
                assert arrived.recipients == (f"{letter}@world.test",)
                found.setdefault(letter, []).append(arrived["Message-ID"] or "")
        return found

    def check(self, *, resent: int = 0) -> None:
        """Nothing lost, nothing twice: one row for each letter, one answer.

        ``resent`` answers may have arrived again, each with the Message-ID that it had: those
        that Postfix had taken when the node died that was about to note that.
        """
        assert sorted(self.taken) == sorted(self.letters)
        wanted: Counter[tuple[str, ...]] = Counter(
            {(letter, self._recipient): 1 for letter in self.letters}
        )
        rows = self.rows()
        assert rows == wanted, f"lost: {wanted - rows}, twice or strange: {rows - wanted}"
        answers = self.answers()
        assert sorted(answers) == sorted(self.letters)
        twice = {letter: ids for letter, ids in answers.items() if len(ids) > 1}
        assert all(len(set(ids)) == 1 for ids in twice.values()), twice
        assert sum(len(ids) - 1 for ids in twice.values()) <= resent, twice
