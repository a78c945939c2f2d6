"""Mail from anywhere: a web application, a script, a cron job puts it into the outbox of a project.

The promise is that of a handler's mail: it is a row in the database, written in the caller's own
transaction where that is on the same database, so that both are committed or neither; the service
of the project submits it, at once where it runs, else when it does. A Mailer is cheap to make, and
is for all threads, and for processes that are forked later.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakSet

from sqlalchemy import event

from lamson.delivery.later import task_of
from lamson.delivery.posting import Posting
from lamson.delivery.tracking import Tracking
from lamson.errors import LamsonError, SenderError, SettingsError
from lamson.message.templates import Templates
from lamson.routing.bounces import BounceAddresses
from lamson.routing.domains import Domains
from lamson.settings import loading
from lamson.settings.keys import ELSEWHERE, signer_of
from lamson.settings.routes import collect_routes
from lamson.storage import doorbell, identity, posted, tasks
from lamson.storage.database import Database
from lamson.storage.given import commits_each_statement, connection_of
from lamson.storage.patience import patience

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime
    from typing import TypeVar

    from sqlalchemy.engine import Connection, Engine
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
    from sqlalchemy.orm import Session, scoped_session

    from lamson.message.attachment import Attachable
    from lamson.message.mailboxes import Addresses, Mailbox, Recipients
    from lamson.message.response import MailResponse
    from lamson.routing.function import Function
    from lamson.routing.router import Router
    from lamson.settings.model import Settings
    from lamson.storage.identity import Identity
    from lamson.storage.keys import Key
    from lamson.storage.outgoing import Outgoing

    Given = Session | scoped_session[Any] | Connection
    AsyncGiven = AsyncSession | AsyncConnection
    T = TypeVar("T")

SOON = 5.0  # seconds: what is due later needs no ring, since the service looks as often
_CONNECTIONS = 2  # of its own


class Mailer:
    """Puts mail into the outbox of one project. For any thread.

    It has a connection to the project's database only when it needs one.
    """

    def __init__(self, settings: Settings, *, database: Database | None = None) -> None:
        """``settings`` are those of the project. Raises SettingsError where no database is set.

        ``database`` is that of a test, whose tables are there, in the place of the one they name.
        """
        if settings.database is None:
            raise SettingsError("database: none is set, so there is no outbox to put mail into")
        self._settings = settings
        self._given = database
        self._templates = Templates(settings.templates)
        declared = Domains((), settings.domains)
        self._declared = declared.holds
        self._tracking = Tracking(
            BounceAddresses(signer_of(settings, believed=ELSEWHERE)),
            is_ours=self._is_ours,
            domains=declared.listed,
            is_default=settings.submission.track,
            notify=settings.submission.notify,
        )
        self._begin_anew()
        _all.add(self)

    @classmethod
    def of(cls, project: Path | str | None = None) -> Mailer:
        """The Mailer of the project in that directory; by default of the one we are in.

        Its settings are read as the command reads them, environment and secrets included. Raises
        SettingsError, and LamsonError where the project is another user's (`docs/security.md`).
        """
        start = Path.cwd() if project is None else Path(project)
        return cls(loading.load(loading.find_project(start)))

    def _begin_anew(self) -> None:
        """Also in a forked process: what its parent is connected to is not its own."""
        self._lock = threading.RLock()
        self._database: Database | None = None
        self._identity: tuple[Identity | None, str | None] | None = None
        self._is_same: WeakKeyDictionary[Engine, bool] = WeakKeyDictionary()
        self._ringing: WeakSet[Connection] = WeakSet()  # those that ring when they are committed
        self._heard: WeakSet[Connection] = WeakSet()  # those whose commits we hear of
        self._routes: Router | None = None
        self._routed: Domains | None = None

    def close(self) -> None:
        """Let go of the connections; the next use makes new ones."""
        with self._lock:
            database, self._database, self._identity = self._database, None, None
        if database is not None and database is not self._given:
            database.close()

    def compose(
        self,
        template: str | None = None,
        *,
        to: Addresses,
        sender: str | Mailbox,
        subject: str,
        cc: Addresses | None = None,
        body: str | None = None,
        html: str | None = None,
        headers: Mapping[str, Addresses] | None = None,
        attachments: Sequence[Attachable] = (),
        language: str | None = None,
        **variables: Any,
    ) -> MailResponse:
        """Make a message from a template or a text, without sending it: as `Delivery.compose` does.

        Templates see ``variables``; there is no ``message`` and no ``delivery``.
        """
        return self._posting().compose(
            template,
            to=to,
            sender=sender,
            subject=subject,
            cc=cc,
            body=body,
            html=html,
            headers=headers,
            attachments=attachments,
            language=language,
            **variables,
        )

    def send(
        self,
        message: MailResponse | bytes,
        session: Given | None = None,
        *,
        at: datetime | float | None = None,
        key: Key | str | None = None,
        sender: str | None = None,
        to: Recipients | None = None,
        track: bool | None = None,
        module: str = "",
    ) -> str:
        """Put ``message`` into the outbox; gives its Message-ID. It cannot be changed any more.

        With ``session``, a SQLAlchemy Session or Connection on the same database, it is written in
        its transaction: committed with it, gone with its rollback. Without one it is committed when
        this returns; where this raises SQLAlchemy's exceptions, that may have happened all the
        same: with a ``key`` it can be tried again.

        With ``track`` the `@outcome` function of the handler module called ``module`` is told what
        became of it, in no conversation; ValueError names those that there are.

        The rest is as for `Delivery.send`, ``at`` and ``key`` included. A message in bytes, with
        ``sender`` and ``to``, is sent as it is. Raises what that raises, LamsonError for a session
        on another database or that commits each statement by itself, and DatabaseError where the
        project's tables are not there.
        """

        self._check_module(module)

        def write(posting: Posting) -> str:
            posting.module = module
            return posting.send(message, sender=sender, to=to, at=at, key=key, track=track)

        return self._write(write, session)

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """A transaction on the project's database: for a program without an engine of its own.

        It is committed at the end of the block, and rolled back where that raises; mail that is
        sent with the session is part of it. Raises what `send` raises. On SQLite nobody else
        writes meanwhile.
        """
        from sqlalchemy.orm import Session

        database, _, _ = self._known()
        with database.begin() as connection, Session(connection) as session:
            yield session
            session.flush()

    def sign(self, purpose: str, payload: str = "", *, days: float | None = None) -> str:
        """A token for the routes that have a capture ``Signed(purpose)``: as `Delivery.sign`.

        The handler modules are imported for that: raises what they raise, RouteError among it. The
        project's key is there once its service has run, unless the setting `signing` has one.
        """
        text, _ = self._router().purposes.sign(purpose, payload, days)
        return text

    def later(
        self,
        function: Callable[..., Any] | str,
        *given: Any,
        session: Given | None = None,
        key: str | None = None,
        **arguments: Any,
    ) -> str:
        """Have the service call a `@background` function of the project: as `Delivery.later`.

        ``function`` is one of a handler module, or its full name ("app.handlers.orders.tell_crm").
        It is called after the commit of the transaction of ``session``, if and only if that is
        committed; without one it is handed over when this returns. With a ``key`` that waits
        already nothing is added. Gives the key, which by default is a new one.

        The handler modules are imported for that: raises what they raise, and LamsonError where
        none of them has such a function; TypeError for arguments that it does not take, or that
        JSON cannot hold; and what `send` raises for a session.
        """
        known = self._background(function)
        key = key or f"mailer-{secrets.token_hex(16)}"
        task = task_of(known, given, arguments, key=key)
        database, _, schema = self._known()
        if session is not None:
            tasks.add(self._checked(connection_of(session), database), [task], schema)
        else:
            with patience(), database.begin() as connection:
                tasks.add(connection, [task])
        return key

    def _background(self, function: Callable[..., Any] | str) -> Function:
        name = function
        if not isinstance(function, str):
            name = f"{function.__module__}.{getattr(function, '__qualname__', '')}"
        by_name = {one.full_name: one for one in self._router().background}
        if name not in by_name:
            there = ", ".join(sorted(by_name)) or "none"
            raise LamsonError(
                f"no handler module has a @background function {name}; there are: {there}"
            )
        return by_name[str(name)]

    async def later_async(
        self,
        function: Callable[..., Any] | str,
        *given: Any,
        session: AsyncGiven | None = None,
        **arguments: Any,
    ) -> str:
        """`later` for an AsyncSession or AsyncConnection, or for none."""
        await asyncio.to_thread(self._router)
        return await self._run_async(
            session, lambda one: self.later(function, *given, session=one, **arguments)
        )

    async def send_async(
        self, message: MailResponse | bytes, session: AsyncGiven | None = None, **options: Any
    ) -> str:
        """`send` for an AsyncSession or AsyncConnection, or for none; the loop is not held up."""
        return await self._run_async(session, lambda one: self.send(message, one, **options))

    def cancel(self, key: Key | str, session: Given | None = None) -> bool:
        """Take back mail that waits for its time under ``key``; True where there was some.

        It is as if it had never been sent: the key is free. What is due is not taken back.
        ``session`` is as for `send`.
        """
        return self._write(lambda posting: posting.cancel(key), session)

    async def cancel_async(self, key: Key | str, session: AsyncGiven | None = None) -> bool:
        """`cancel` for an AsyncSession or AsyncConnection, or without any."""
        return await self._run_async(session, lambda one: self.cancel(key, one))

    async def _run_async(self, session: AsyncGiven | None, work: Callable[[Given | None], T]) -> T:
        if session is None:
            return await asyncio.to_thread(work, None)
        await asyncio.to_thread(self._known)
        return await session.run_sync(work)

    def _check_module(self, module: str) -> None:
        """Raise ValueError for a name that is none of the handler modules, where those are set."""
        handlers = self._settings.handlers
        if module and handlers and module not in handlers:
            raise ValueError(
                f"module={module!r} is no handler module of the project; those are"
                f" {', '.join(handlers)}"
            )

    def _posting(self, connection: Connection | None = None, schema: str | None = None) -> Posting:
        settings = self._settings
        return Posting(
            id=f"mailer-{secrets.token_hex(4)}",
            hostname=settings.lmtp.hostname or socket.gethostname(),
            templates=self._templates,
            is_ours=None if settings.submission.any_sender else self._is_ours,
            connect=None if connection is None else lambda: connection,
            schema=schema,
            tracking=self._tracking,
        )

    def _is_ours(self, domain: str) -> bool:
        """The setting `domains` tells, without the handlers; else their routes do."""
        if self._declared(domain):
            return True
        with self._lock:
            if self._routed is None:
                try:
                    self._routed = Domains(self._router().routes)
                except LamsonError as error:
                    raise SenderError(
                        f"whether {domain} is ours cannot be told, as the handlers cannot be"
                        f" imported here; name it in the setting domains ({error})"
                    ) from error
        return self._routed.holds(domain)

    def _router(self) -> Router:
        """The routes of the handlers, which are imported here."""
        with self._lock:
            if self._routes is None:
                self._routes = collect_routes(self._settings, believed=ELSEWHERE)
            return self._routes

    def _write(self, write: Callable[[Posting], T], session: Given | None) -> T:
        database, _, schema = self._known()
        if session is not None:
            connection = self._checked(connection_of(session), database)
            return self._write_on(connection, write, schema)
        with patience(), database.begin() as connection:
            return self._write_on(connection, write, None)

    def _write_on(
        self, connection: Connection, write: Callable[[Posting], T], schema: str | None
    ) -> T:
        posting = self._posting(connection, schema)
        done = write(posting)
        if posting.outgoing:
            most = self._settings.submission.max_recipients
            posted.post(connection, posting.outgoing, max_recipients=most, schema=schema)
            self._ring(connection, posting.outgoing)
        return done

    def _ring(self, connection: Connection, rows: Sequence[Outgoing]) -> None:
        """Tell the service, with the commit of the transaction."""
        if all(row.due_at > time.time() + SOON for row in rows):
            return
        if connection.dialect.name == "postgresql":
            doorbell.notify(connection, self._known()[2])
            return
        with self._lock:
            self._ringing.add(connection)
            if connection not in self._heard:
                self._heard.add(connection)
                event.listen(connection, "commit", self._ring_now)

    def _ring_now(self, connection: Connection) -> None:
        """Just before the COMMIT: the service that hears it waits for SQLite's lock, which is ours.

        So it looks the moment that the commit is done.
        """
        with self._lock:
            is_ringing = connection in self._ringing
            self._ringing.discard(connection)
        if is_ringing:
            doorbell.ring(self._settings.run_dir)

    def _known(self) -> tuple[Database, Identity | None, str | None]:
        """The database, which it is, and the schema that our tables are in."""
        with self._lock, patience():
            if self._database is None:
                assert self._settings.database is not None
                self._database = self._given or Database(
                    self._settings.database, connections=_CONNECTIONS
                )
            if self._identity is None:
                if self._given is None:
                    self._database.check()
                self._identity = self._ask(self._database)
            return self._database, *self._identity

    @staticmethod
    def _ask(database: Database) -> tuple[Identity | None, str | None]:
        with database.read() as connection:
            return identity.identity_of(connection), identity.schema_of(connection)

    def _checked(self, connection: Connection, database: Database) -> Connection:
        """The same, where what is written on it is committed with the caller's own work."""
        engine = connection.engine
        is_same = self._is_same.get(engine)
        if not is_same:
            theirs = identity.identity_of(connection)
            is_same = theirs is not None and theirs == self._known()[1]
            if not is_same and theirs is not None:  # the server may have been started anew
                with self._lock:
                    self._identity = self._ask(database)
                    is_same = theirs == self._identity[0]
            if not is_same:
                raise LamsonError(
                    f"this session is on another database than the outbox, {database}, so that they"
                    " cannot be committed together. Have both in one database; or commit the"
                    " session, then send without session=, with a key= so that it can be repeated"
                )
            self._is_same[engine] = is_same
        if commits_each_statement(connection):
            raise LamsonError(
                "this connection commits each statement by itself (AUTOCOMMIT), so that mail could"
                " not be undone with the rest: give one with a transaction, or none"
            )
        return connection


_all: WeakSet[Mailer] = WeakSet()
_abandoned: list[Database | None] = []
_resting: dict[int, ExitStack] = {}  # by the thread that forks: several may at a time


def _before_fork() -> None:
    """Nothing is written meanwhile: see `Database.at_rest`.

    Threads that fork at a time take them in one order, else each could wait for the other.
    """
    stack = ExitStack()
    databases = {id(one): one for mailer in list(_all) if (one := mailer._database) is not None}
    for number in sorted(databases):
        stack.enter_context(databases[number].at_rest())
    _resting[threading.get_ident()] = stack


def _after_fork_in_parent() -> None:
    _resting.pop(threading.get_ident()).close()


def _after_fork() -> None:
    """Connections to a server are the parent's, who goes on with them: not even to be closed."""
    _resting.clear()
    for mailer in list(_all):
        _abandoned.append(mailer._database)
        mailer._begin_anew()


os.register_at_fork(
    before=_before_fork,
    after_in_parent=_after_fork_in_parent,
    after_in_child=_after_fork,
)
