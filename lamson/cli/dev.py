"""`lamson dev`: the service, a server that catches what it sends, and the window, at one go.

For the developer of an application. One process has the window and the catching server; the service
is a child (`lamson.cli.child`). When code, templates or settings change, the service takes them in
as by SIGHUP, one worker at a time, so that no mail is lost; where a setting needs a new start, or
the service did not start, it is started again, and what is written in the window meanwhile waits.
Nothing leaves this machine: where submission leads elsewhere, it does not begin.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from lamson import log, private
from lamson.cli import web
from lamson.cli.catching import Catching
from lamson.cli.child import Child
from lamson.cli.client import submit
from lamson.cli.options import command, entered, option, printable, project
from lamson.cli.sink import listen
from lamson.cli.watch import Watch
from lamson.errors import LamsonError, SettingsError, UnavailableError
from lamson.net.accept import AllowList
from lamson.net.endpoint import from_here, is_loopback, join_host_port
from lamson.net.listen import bind, describe
from lamson.service import pidfile
from lamson.service.health import UNDELIVERABLE
from lamson.service.supervisor import fixed
from lamson.service.worker import forget_modules
from lamson.settings import Journal, loading

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lamson.cli.client import Outcome
    from lamson.settings.model import Settings
    from lamson.storage.database import Database
    from lamson.web.development import Development
    from lamson.web.mails import Mails
    from lamson.web.shelves import Shelves
    from lamson.web.view import Window

PID_FILE = "dev.pid"  # in the run directory
KEY_FILE = "window.key"  # there, too
_LOOK = 0.2  # seconds between two looks at the files
_MOST_KEPT = 16 << 20  # octets of one mail that the journal has, where we turn it on
_PATIENCE = 15.0  # seconds that mail of the window waits for a service that starts


@command("dev")
@option("port", type=click.IntRange(0, 65535), metavar="NUMBER", help="TCP port of the window.")
def dev_command(port: int | None) -> None:
    """Start all that one needs to develop, and show the mail in a browser.

    The service of the project, a server that catches what it sends (as `lamson log`), and the
    window, whose address is printed: to write to the application as anybody, and to see what it
    answers. What you change in code, templates and settings is taken in at once; errors are shown
    here and in the window. The tables of the database are made or upgraded. Ctrl-C ends all.

    \b
    Example:
      lamson dev
    """
    web.check_extra()
    effective, where = entered(), project()
    _check(effective)
    with pidfile.PidFile(effective.run_dir / PID_FILE) as lock:
        _make_tables(where, effective)
        log.configure(None, console=True)
        asyncio.run(_Dev(where, effective, port, lock).run())


def _check(effective: Settings) -> None:
    """Raise LamsonError for a project in which this would not work, or would send real mail."""
    submission = effective.submission
    if not is_loopback(submission.host) or submission.user or submission.security != "none":
        raise SettingsError(
            f"submission.server: {submission.server} is for real mail, which lamson dev does not"
            " send: set LAMSON_SUBMISSION__SERVER=127.0.0.1:8899 where you develop,"
            " without user and security"
        )
    pid = pidfile.read(effective.run_dir / pidfile.PID_FILE)
    if pid is not None:
        raise UnavailableError(f"the service runs already ({pidfile.named(pid)}): lamson stop")


def _make_tables(where: Path, effective: Settings) -> None:
    if effective.database is None:
        return
    done = subprocess.run(
        [sys.executable, "-m", "lamson", "syncdb"],
        cwd=where,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        problem = done.stderr.strip().removeprefix("lamson: ") or "lamson syncdb failed"
        raise LamsonError(problem, exit_code=done.returncode)


class _Dev:
    """One `lamson dev`."""

    def __init__(
        self, where: Path, effective: Settings, port: int | None, lock: pidfile.PidFile
    ) -> None:
        self._project = where
        self._port = port
        self._lock = lock
        self._key = _key(effective.run_dir)
        self._leaving = asyncio.Event()
        self._child = Child(where, self._say, self._fail)
        self._settings = self._journaled(effective)
        self._watch = Watch([where, *effective.templates])
        self._is_starting = True
        self._status = 0  # of a service that ended by itself
        self._shelves: Shelves
        self._handed: Shelves
        self._window: Window
        self._development: Development

    async def run(self) -> None:
        """Serve until Ctrl-C, SIGTERM, or until the terminal goes."""
        from lamson.storage.maildir import Maildir
        from lamson.web.development import Development, Faults
        from lamson.web.server import serve
        from lamson.web.sessions import Sessions
        from lamson.web.shelves import Shelves
        from lamson.web.site import site
        from lamson.web.view import Window

        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._leaving.set)
        run = self._settings.run_dir
        queues = {"kept": run / UNDELIVERABLE, "sent": run / web.CAUGHT, "came": run / web.HANDED}
        self._shelves, self._handed = Shelves(queues), Shelves({"came": queues["came"]})
        self._development = Development(
            self._hand, Maildir(queues["came"], safe=False), Faults(self._project), self._state
        )
        kept = Shelves({"kept": queues["kept"]})
        database = web.database_of(self._settings)
        self._window = Window(
            self._project,
            self._settings,
            self._mails(database),
            kept,
            database,
            is_writable=True,
            development=self._development,
        )
        submission = self._settings.submission
        catching = Catching(Maildir(queues["sent"], safe=False), self._development)
        sink, _ = await listen(catching, submission.host, submission.port, AllowList([]))
        sock = bind(self._address())
        url = f"http://{describe(sock)}/"
        self._lock.describe(f"window on {url}")
        application = site(self._window, Sessions(lambda: self._key))
        serving = asyncio.create_task(serve(application, sock, self._leaving))
        tending = asyncio.create_task(self._tend())
        telling = asyncio.create_task(self._tell_address(f"{url}enter?key={self._key}"))
        leaving = asyncio.create_task(self._leaving.wait())
        try:
            # Without the service's keeper, or the window, we would stand there and do nothing.
            vital = (leaving, serving, tending)
            await asyncio.wait(vital, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._leaving.set()
            self._say("lamson dev: ending")
            for task in (tending, telling):
                task.cancel()
            await asyncio.gather(tending, telling, return_exceptions=True)
            sink.close()
            await self._child.stop()
            await serving
            if self._window.database is not None:
                self._window.database.close()
        if not tending.cancelled():
            tending.result()

    def _mails(self, database: Database | None) -> Mails:
        """What the window shows: the journal, and beside it what was refused before it was mail."""
        mails = web.mails_of(self._settings, database, self._shelves, self._handed)
        self._development.has = getattr(mails, "has", None)
        return mails

    def _journaled(self, effective: Settings) -> Settings:
        """The settings with a journal of whole messages, where the project says nothing of one; the
        service gets them by its environment."""
        self._child.environment = {}
        if effective.database is None or "keep" in effective.journal.model_fields_set:
            return effective
        journal = Journal("whole", max_message=_MOST_KEPT)
        self._child.environment = {
            "LAMSON_JOURNAL__KEEP": journal.keep,
            "LAMSON_JOURNAL__MAX_MESSAGE": str(journal.max_message),
        }
        return effective.model_copy(update={"journal": journal})

    def _address(self) -> str:
        host, port = self._settings.web.host_port or ("127.0.0.1", 8825)
        host = host if is_loopback(host) else "127.0.0.1"
        return join_host_port(host, port if self._port is None else self._port)

    async def _tell_address(self, url: str) -> None:
        while self._is_starting:
            await asyncio.sleep(0.05)
        self._say(f"lamson dev: open {url}")

    async def _tend(self) -> None:
        """Keep the service running, with the code as it is."""
        while True:
            self._is_starting = True
            self._child.environment["LAMSON_LOG_FORMAT"] = "text"  # its errors are read here
            await self._child.start()
            ended = asyncio.create_task(self._child.wait())
            ready = asyncio.create_task(self._child.ready.wait())
            try:
                await asyncio.wait((ended, ready), return_when=asyncio.FIRST_COMPLETED)
                self._is_starting = False
                await self._follow(ended)
            finally:
                ready.cancel()
                ended.cancel()

    async def _follow(self, ended: asyncio.Task[int]) -> None:
        """Have the service take in what changes, until it is to be started again."""
        while True:
            changed = await self._changed(ended)
            if not changed:  # it ended by itself
                self._status = ended.result()
                changed = await self._changed(None)
            files = ", ".join(os.path.relpath(one, self._project) for one in changed[:3])
            self._say(f"lamson dev: changed: {files}{' ...' if len(changed) > 3 else ''}")
            if any("/migrations/" in one for one in changed):
                await self._upgrade()
            if not self._child.is_running:
                self._take_in_settings()
                return
            if self._take_in_settings():
                await self._child.stop()
                return
            self._child.reload()

    async def _changed(self, ended: asyncio.Task[int] | None) -> list[str]:
        """Wait for a change, and until no other follows it; [] where the service ends before."""
        found: list[str] = []
        while True:
            if ended is not None and ended.done():
                return []
            changed = await asyncio.to_thread(self._watch.changed)
            if found and not changed:
                return sorted(set(found))
            found += changed
            await asyncio.sleep(_LOOK / 2 if found else _LOOK)

    async def _upgrade(self) -> None:
        try:
            await asyncio.to_thread(_make_tables, self._project, self._settings)
        except LamsonError as error:
            self._fail(f"lamson: {error}")

    def _take_in_settings(self) -> bool:
        """Read the settings again; True where the service has to be started anew for them."""
        forget_modules(self._project)
        former = self._settings
        try:
            found = loading.load(self._project)
            _check_sending(found, former)
            database = web.database_of(found)  # connects lazily
        except LamsonError:
            return False  # the service says so, and goes on as it is
        found = self._journaled(found)
        self._settings = self._window.settings = found
        if (found.database, found.journal) != (former.database, former.journal):
            old, self._window.database = self._window.database, database
            self._window.mails = self._mails(self._window.database)
            if old is not None:
                old.close()
        return found.journal != former.journal or fixed(found) != fixed(former)

    def _state(self) -> str:
        if self._is_starting:
            return "The service is starting"
        if not self._child.is_running:
            return "The service does not run: see Errors. It starts when you change something"
        return ""

    def _hand(self, sender: str, recipients: Sequence[str], content: bytes) -> list[Outcome]:
        """Give mail to the service; while it starts, it waits."""
        lmtp = self._settings.lmtp
        host, port = lmtp.host_port or (f"unix:{lmtp.unix_path}", 0)
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                return list(submit(from_here(host), port, "lmtp", sender, recipients, content))
            except UnavailableError:
                if time.monotonic() > deadline or not (self._is_starting or self._child.is_running):
                    raise
                time.sleep(_LOOK)

    def _say(self, text: str) -> None:
        with suppress(OSError):  # the terminal may have gone
            click.echo(printable(text))

    def _fail(self, text: str) -> None:
        """Show the line that did it, here and in the window."""
        fault = self._development.faults.add(text, time.time())
        for number, line, is_it in fault.lines:
            place = f"{fault.place.rpartition(':')[0]}:{number}"
            self._say(f"  {'>' if is_it else ' '} {place}  {line}")


def _check_sending(found: Settings, former: Settings) -> None:
    """What is sent has to come here still."""
    if found.submission.server != former.submission.server:
        raise SettingsError("submission.server: it changed; start lamson dev again")


def _key(run_dir: Path) -> str:
    """What lets into the window: the same one as long as its file is there, for nobody else."""
    file = run_dir / KEY_FILE
    with suppress(FileExistsError):
        descriptor = private.open_file(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        with open(descriptor, "w", encoding="ascii") as opened:
            opened.write(secrets.token_urlsafe(24))
    descriptor = private.open_file(file, os.O_RDONLY)
    with open(descriptor, encoding="ascii") as opened:
        key = opened.read().strip()
    if len(key) < 20:
        raise LamsonError(f"{file}: this is no key of ours; remove it")
    return key
