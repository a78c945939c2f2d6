"""What a page of the window costs where the journal is long: `python -m tests.bench.window`.

Medians of the CPU time of this process for one request, the page with its templates, and of the
database, which is SQLite in this process. The journal has 100,000 mails of 2 KB each, kept whole,
of 1,000 correspondents, one of which is in every tenth.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import warnings
from pathlib import Path

from lamson.settings import Journal, Settings
from lamson.storage import journal_rows
from lamson.storage.database import Database
from lamson.storage.journal_rows import JournalRow, Sent
from lamson.web.journal_mails import JournalMails
from lamson.web.sessions import Sessions
from lamson.web.shelves import Shelves
from lamson.web.site import site
from lamson.web.view import Window

_FIRST = 1_795_000_000_000_000_000
_AT_ONCE = 1000
_TIMES = 15


def row(number: int) -> JournalRow:
    """Mails that come, each followed by its answer."""
    is_out = bool(number % 2)
    who = "often@example.com" if number // 2 % 10 == 0 else f"u{number // 2 % 1000}@example.com"
    subject = f"About matter {number // 2}" if number != 2000 else "The only needle"
    content = (
        f"From: {who}\r\nTo: app@test.com\r\nSubject: {subject}\r\n"
        f"Message-ID: <{number}@example.com>\r\n\r\n" + "Some words of text that goes on.\r\n" * 60
    ).encode()
    return JournalRow(
        id=_FIRST + number * 1_000_000,
        direction="out" if is_out else "in",
        at=_FIRST / 1e9 + number / 1000,
        done_at=_FIRST / 1e9 + number / 1000,
        source=f"4Z{number:09}z1",
        message_id=f"<{number}@example.com>",
        correspondent=who,
        ours="app@test.com",
        subject=subject,
        size=len(content),
        outcome="submitted" if is_out else "handled",
        reply=f"250 2.0.0 Ok: queued as 4Y{number:09}z1" if is_out else "250 2.0.0 Ok",
        handler="" if is_out else "app.handlers.sample.START",
        state="" if is_out else "START",
        next_state="" if is_out else "WAITING",
        recipients=(who,) if is_out else (),
        sent=() if is_out else (Sent(_FIRST + (number + 1) * 1_000_000, ""),),
        content=content,
    )


def main() -> None:
    from starlette.testclient import TestClient

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        database = Database(f"sqlite:///{folder}/journal.db")
        database.create_all()
        for at in range(0, rows, _AT_ONCE):
            with database.begin() as connection:
                journal_rows.add(connection, [row(at + one) for one in range(_AT_ONCE)])
        settings = Settings(handlers=[], run_dir=folder / "run", journal=Journal("whole"))
        kept = Shelves({"kept": folder / "kept"})
        window = Window(folder, settings, JournalMails(database, kept), kept, database)
        client = TestClient(
            site(window, Sessions(lambda: "sesame" * 5)), base_url="http://127.0.0.1"
        )
        client.post(
            "/login", data={"password": "sesame" * 5}, headers={"Origin": "http://127.0.0.1"}
        )
        middle = _FIRST + rows // 2 * 1_000_000
        before = f"{middle / 1e9!r}_journal/{middle}"
        for name, path in (
            ("mail, the newest", "/"),
            ("mail, from the middle on", f"/?before={before}"),
            ("a conversation", "/with?with=often@example.com"),
            ("a conversation, from the middle on", f"/with?with=often@example.com&before={before}"),
            ("one mail", f"/mail/journal/{middle}"),
            ("its source", f"/mail/journal/{middle}?show=source"),
            ("a search that finds", "/?q=about+matter"),
            ("a search that finds nothing", "/?q=needless"),
            ("a search from the middle on", f"/?q=needless&before={before}"),
            ("states of somebody", "/states?author=often@example.com"),
            ("the pulse", "/pulse"),
        ):
            spent = []
            for _ in range(_TIMES):
                began = time.process_time()
                answer = client.get(path)
                spent.append((time.process_time() - began) * 1000)
                assert answer.status_code == 200, (path, answer.text)
            print(f"{name:<36} {statistics.median(spent):6.1f} ms  most {max(spent):6.1f} ms")
        database.close()


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        main()
