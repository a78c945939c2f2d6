"""SQLite's log, written back beside the mail instead of in it.

A commit that finds many pages in the write-ahead log has to bring them into the file, and the mail
that it is of waits for two syncs and all those pages. Here a thread of its own does that before:
first while others write (PASSIVE), so that little is left; then, where the log is long, the rest
while nobody does (FULL), after which the next commit begins the log anew. Without that second step
a log that is always written to would never end.

What fails here costs nothing but that: `sqlite.LONGEST_LOG` has the commits do it themselves.
See https://www.sqlite.org/wal.html, section 3.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from lamson import log

if TYPE_CHECKING:
    from lamson.storage.database import Database

COMMITS = 64  # after so many a look is due: about as many pages as SQLite itself waits for
_PAUSE = 0.25  # seconds, at least, between two looks
_LONG = 1_000  # pages of a log that begins anew


class Checkpoints:
    """Those of one process and one file; an idle service looks at nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._commits = 0
        self._is_due = threading.Event()
        self._is_ending = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin. Of a database that is no file there is nothing to do."""
        if self._database.file is None:
            return
        self._database.after_commit = self.note_commit
        self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End, after the one that is under way."""
        self._database.after_commit = None
        self._is_ending.set()
        self._is_due.set()
        if self._thread is not None:
            self._thread.join()

    def note_commit(self) -> None:
        """Called after each, by whatever thread."""
        self._commits += 1
        if self._commits >= COMMITS:
            self._commits = 0
            self._is_due.set()

    def look(self) -> None:
        """Write back what there is; what fails is logged."""
        try:
            self._write_back()
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_BUSY:
                log.logger.warning("the database's log stays as long as it is: %s", error)

    def _run(self) -> None:
        while not self._is_ending.wait(_PAUSE):
            self._is_due.wait()
            self._is_due.clear()
            self.look()

    def _write_back(self) -> None:
        # Opened for each: one that was made while the files were read-only would keep them so for
        # every connection of this process. A file that is missing is not made. Nobody is waited
        # for: a writer of another process, or who reads for long, comes first.
        uri = f"{Path(self._database.file or '').absolute().as_uri()}?mode=rw"
        with closing(sqlite3.connect(uri, uri=True, timeout=0)) as connection:
            _, pages, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            if pages > _LONG:
                with self._database.no_writer():
                    connection.execute("PRAGMA wal_checkpoint(FULL)")
