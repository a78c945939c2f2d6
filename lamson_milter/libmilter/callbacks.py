"""libmilter's callbacks, thin: each hands on to the transaction, and applies what comes out.

For the worker. Only what some filter needs is negotiated, and what needs no answer gets none, so
that Postfix sends it in one go. Filters run on threads of our own, with a time limit (see
`runner`). Whatever goes wrong is logged and answered 451 4.3.0; where the protocol has no answer at
that stage, the message is answered so at its end. libmilter calls from many threads at once,
each session's callbacks one after the other.
"""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import milter

from lamson import log, metrics
from lamson.message.parsed import ParsedMessage
from lamson.smtp.envelope import NOBODY
from lamson.smtp.reply import LOCAL_ERROR
from lamson_milter.decision.edits import as_postfix_counts, header_bytes
from lamson_milter.decision.transaction import Arriving, Transaction
from lamson_milter.filters import CONNECTION, MESSAGE, RECIPIENT, SENDER
from lamson_milter.libmilter import macros, verdict_log
from lamson_milter.libmilter.budget import FULL, FullError
from lamson_milter.libmilter.context import answer, apply
from lamson_milter.libmilter.macros import macro
from lamson_milter.libmilter.runner import Runner
from lamson_milter.libmilter.session import Session
from lamson_milter.libmilter.spool import Spool
from lamson_milter.libmilter.threads import TooLateError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lamson_milter.decision.outcome import Outcome
    from lamson_milter.decision.transaction import Rules
    from lamson_milter.libmilter.budget import Budget
    from lamson_milter.libmilter.context import Context
    from lamson_milter.libmilter.runner import Limits
    from lamson_milter.libmilter.threads import FilterThreads

_ACTIONS = (
    milter.ADDHDRS
    | milter.CHGHDRS
    | milter.CHGBODY
    | milter.ADDRCPT
    | milter.ADDRCPT_PAR
    | milter.DELRCPT
    | milter.CHGFROM
    | milter.QUARANTINE
    | milter.SETSYMLIST
)


class Callbacks:
    """The callbacks of one process."""

    def __init__(
        self,
        rules: Rules,
        threads: FilterThreads,
        limits: Limits,
        budget: Budget,
        *,
        max_connections: int = 1000,
        checks_recipients: bool = False,
        on_stuck: Callable[[], None] = lambda: None,
    ) -> None:
        """``on_stuck`` is called where so many filters hang that the worker has to be replaced."""
        self._rules = rules
        self._budget = budget
        self._max_connections = max_connections
        self._on_stuck = on_stuck
        self._refused_since = 0.0  # monotonic: when a connection too many was logged last
        self.sessions: set[Session] = set()
        self._runner = Runner(rules.filters, threads, limits, self.sessions)
        self.last_end = 0.0  # monotonic: when a message was answered last
        filters = rules.filters
        self._asks_sender = bool(filters.sender)
        self._asks_recipient = bool(filters.recipient.routes)
        self._asks_message = filters.asks_message
        self._body = rules.body
        self._steps = (
            milter.P_NODATA | milter.P_NOUNKNOWN | milter.P_NOEOH
            | milter.P_NR_HELO | milter.P_NR_HDR | milter.P_HDR_LEADSPC
        )  # fmt: skip
        for is_wanted, without in (
            (filters.connection, milter.P_NOCONNECT),
            (filters.helo, milter.P_NOHELO),
            (filters.sender, milter.P_NR_MAIL),
            (self._asks_recipient or checks_recipients, milter.P_NR_RCPT),
            (filters.all, milter.P_NOHDRS),
            (filters.body != 0, milter.P_NOBODY),
        ):
            if not is_wanted:
                self._steps |= without
        # Where all is read, nothing is skipped, and then no answer is needed.
        self._steps |= milter.P_NR_BODY if filters.body is None else milter.P_SKIP

    def register(self, name: str) -> None:
        """Tell libmilter. ``name`` is for its log."""
        milter.set_flags(_ACTIONS)
        milter.set_connect_callback(self.connect)
        milter.set_helo_callback(self.helo)
        milter.set_envfrom_callback(self.mail)
        milter.set_envrcpt_callback(self.rcpt)
        milter.set_header_callback(self.header)
        milter.set_body_callback(self.body)
        milter.set_eom_callback(self.end)
        milter.set_abort_callback(self.abort)
        milter.set_close_callback(self.close)
        # Nothing is raised here that is ours to raise. What is left is pymilter's own refusal of a
        # HELO or of a field's name that is not UTF-8: it is not seen, and the mail goes on.
        milter.set_exception_policy(milter.CONTINUE)
        milter.register(name, negotiate=self.negotiate)

    def negotiate(self, ctx: Context, options: list[int]) -> int:
        # A thread of libmilter's is none of `threading`'s, which would do this for debuggers and
        # for who measures which lines run. It stays with the session.
        sys.settrace(threading.gettrace())
        try:
            if len(self.sessions) >= self._max_connections:
                return self._too_many()
            actions, steps = options[0] & _ACTIONS, options[1] & self._steps
            options[:] = [actions, steps, 0, 0]
            session = Session(self._rules, steps, self._budget)
            ctx.setpriv(session)
            if actions & milter.SETSYMLIST:
                for stage, names in macros.WANTED:
                    ctx.setsymlist(stage, " ".join(names))
                session.knows_queue_id = True
            self.sessions.add(session)
        except BaseException:  # noqa: BLE001
            log.logger.exception("milter: negotiating with Postfix failed")
            return int(milter.REJECT)
        return int(milter.CONTINUE)

    def connect(self, ctx: Context, name: str, family: int, address: object) -> int:
        session = ctx.getpriv()
        try:
            connection = session.connection
            # (address, port, …) for IPv4 and IPv6, a path or None for anything else
            host, port = address[:2] if isinstance(address, tuple) else ("", "")
            connection.peer = peer = macros.client(ctx, name, str(host), str(port))
            refusal = self._runner.run(CONNECTION, session, connection.connect)
            if refusal is not None:
                verdict_log.refused(CONNECTION, refusal, connection.refused_by, peer)
            return answer(ctx, refusal)
        except BaseException as error:  # noqa: BLE001
            return self._failed(ctx, error)

    def helo(self, ctx: Context, name: str) -> int:
        session = ctx.getpriv()
        try:
            connection = session.connection
            peer = connection.peer if connection.peer is not NOBODY else macros.client(ctx)
            connection.peer = replace(peer, helo=name)
        except BaseException as error:  # noqa: BLE001
            return self._failed(ctx, error, milter.P_NR_HELO)
        return session.reply(milter.P_NR_HELO)

    def mail(self, ctx: Context, given: bytes, *parameters: bytes) -> int:
        session = ctx.getpriv()
        try:
            session.reset()
            connection = session.connection
            if connection.peer is NOBODY:
                connection.peer = macros.client(ctx)
            # The client may have done either between two mails.
            sasl, tls = macros.sasl(ctx), macros.tls(ctx)
            if (sasl, tls) != (connection.peer.sasl, connection.peer.tls):
                connection.peer = replace(connection.peer, sasl=sasl, tls=tls)
            session.transaction = transaction = Transaction(connection)
            path, words = _text(given), [_text(one) for one in parameters]
            read = macro(ctx, macros.SENDER)
            if not self._asks_sender:
                transaction.mail(path, words, read=read)
                return session.reply(milter.P_NR_MAIL)
            refusal = self._runner.run(
                SENDER, session, lambda: transaction.mail(path, words, read=read)
            )
            if refusal is not None:
                verdict_log.refused(
                    SENDER,
                    refusal,
                    transaction.refused_by,
                    transaction.peer,
                    sender=transaction.sender,
                )
            return answer(ctx, refusal, has_utf8=transaction.has_utf8)
        except BaseException as error:  # noqa: BLE001
            return self._failed(ctx, error, milter.P_NR_MAIL)

    def rcpt(self, ctx: Context, given: bytes, *parameters: bytes) -> int:
        session = ctx.getpriv()
        try:
            transaction = session.transaction
            if transaction is None or session.failure is not None:
                return self._failed(ctx, None, milter.P_NR_RCPT)
            path, words = _text(given), [_text(one) for one in parameters]
            arriving = Arriving(
                read=macro(ctx, macros.RECIPIENT),
                transport=macro(ctx, macros.TRANSPORT),
                next_hop=macro(ctx, macros.NEXT_HOP),
                queue_id=macro(ctx, macros.QUEUE_ID) if session.knows_queue_id else None,
            )
            if not self._asks_recipient:
                refusal = transaction.rcpt(path, words, arriving)
            else:
                refusal = self._runner.run(
                    RECIPIENT, session, lambda: transaction.rcpt(path, words, arriving)
                )
            if refusal is None:
                return session.reply(milter.P_NR_RCPT)
            verdict_log.refused(
                RECIPIENT,
                refusal,
                transaction.refused_by,
                transaction.peer,
                queue_id=arriving.queue_id or "",
                sender=transaction.sender,
                recipient=path,
            )
            return answer(ctx, refusal, has_utf8=transaction.has_utf8)
        except BaseException as error:  # noqa: BLE001
            return self._failed(ctx, error, milter.P_NR_RCPT)

    def header(self, ctx: Context, name: str, value: bytes) -> int:
        session = ctx.getpriv()
        try:
            if session.transaction is not None and session.failure is None:
                session.share.add(
                    session.transaction.header(
                        name, value if session.has_leading_space else b" " + value
                    )
                )
        except BaseException as error:  # noqa: BLE001
            return self._failed(ctx, error, milter.P_NR_HDR)
        return session.header_reply

    def body(self, ctx: Context, chunk: bytes) -> int:
        session = ctx.getpriv()
        try:
            if session.failure is not None:
                return self._failed(ctx, None, milter.P_NR_BODY)
            if session.spool is None:
                session.spool = Spool(self._body, session.share, _header(session))
            if session.spool.write(chunk) and session.steps & milter.P_SKIP:
                return int(milter.SKIP)
        except BaseException as error:  # noqa: BLE001
            return self._failed(ctx, error, milter.P_NR_BODY)
        return session.reply(milter.P_NR_BODY)

    def end(self, ctx: Context) -> int:
        session = ctx.getpriv()
        try:
            transaction, spool = session.transaction, session.spool
            if transaction is None or session.failure is not None:
                return self._failed(ctx, None)
            queue_id = macro(ctx, "i")

            def decide() -> Outcome:
                return transaction.end(
                    lambda: ParsedMessage(spool.read() if spool else _header(session)),
                    queue_id=queue_id,
                    now=time.time(),
                    is_truncated=spool is not None and spool.is_truncated,
                )

            outcome = self._runner.run(MESSAGE, session, decide) if self._asks_message else decide()
            for edit in as_postfix_counts(outcome.edits):
                apply(ctx, session, edit)
            if outcome.quarantine is not None:
                ctx.quarantine(outcome.quarantine)
            verdict_log.ended(transaction, outcome, transaction.peer, queue_id)
            if outcome.is_discarded:
                return int(milter.DISCARD)
            return answer(ctx, outcome.refusal, has_utf8=transaction.has_utf8)
        except BaseException as error:  # noqa: BLE001
            return self._failed(ctx, error)
        finally:
            if session is not None:
                session.reset()
            self.last_end = time.monotonic()

    def abort(self, ctx: Context) -> int:
        session = ctx.getpriv()
        if session is not None:
            session.reset()
        return int(milter.CONTINUE)

    def close(self, ctx: Context) -> int:
        session = ctx.getpriv()
        if session is not None:
            session.reset()
            self.sessions.discard(session)
        return int(milter.CONTINUE)

    def is_stuck(self) -> bool:
        """True where a filter that runs without a thread has passed its time limit."""
        return self._runner.is_stuck()

    def _too_many(self) -> int:
        """Refuse a connection, at most once a second with a line in the log."""
        now = time.monotonic()
        if now - self._refused_since > 1:
            self._refused_since = now
            log.logger.error("milter: %d connections are open: refused one", len(self.sessions))
        return int(milter.REJECT)

    def _failed(self, ctx: Context, error: BaseException | None, silent: int = 0) -> int:
        """Answer 451, or make the end of the message do so where nothing is answered now.

        A session that was never negotiated is none of Postfix's.
        """
        session = ctx.getpriv()
        if session is None:
            return int(milter.TEMPFAIL)
        if error is not None:
            self._note(macro(ctx, macros.QUEUE_ID) or "-", session, error)
        if session.failure is None:
            # What was given up may still change the transaction: it must not be answered otherwise.
            session.failure = FULL if isinstance(error, FullError) else LOCAL_ERROR
            session.forget_content()
        if session.steps & silent:
            return int(milter.NOREPLY)
        try:
            return answer(ctx, session.failure)
        except BaseException:  # noqa: BLE001
            return int(milter.TEMPFAIL)

    def _note(self, id: str, session: Session, error: BaseException) -> None:
        metrics.count("milter_verdicts", verdict="failed")
        who = verdict_log.client(session.connection.peer)
        if isinstance(error, TooLateError):
            log.logger.error("id=%s: %s; answered 451 to %s", id, error, who)
            if self._runner.is_short:
                self._on_stuck()
        elif isinstance(error, FullError):
            log.logger.error("id=%s: milter.max_buffered: %s; answered 452 to %s", id, error, who)
        else:
            log.logger.error("id=%s: milter: %s", id, log.named(error), exc_info=error)


def _header(session: Session) -> bytes:
    """The header that came, and the empty line below."""
    return header_bytes([] if session.transaction is None else session.transaction.fields)


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "surrogateescape")
