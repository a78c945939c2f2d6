"""libmilter's callbacks, thin: each hands on to the transaction, and applies what comes out.

For the worker. Only what some filter needs is negotiated, and what needs no answer gets none, so
that Postfix sends it in one go. Filters run on threads of our own (see `threads`), with a limit
below Postfix's; those that have always been quick, and want no database, run at once (see
`quickness`). Whatever goes wrong is logged and answered 451 4.3.0; where the protocol has no answer
at that stage, the message is answered so at its end. libmilter calls from many threads at once,
each session's callbacks one after the other.
"""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import milter

from lamson import log
from lamson.message.parsed import ParsedMessage
from lamson.smtp.envelope import NOBODY, Peer
from lamson.smtp.reply import LOCAL_ERROR
from lamson_milter.decision.edits import as_postfix_counts, header_bytes
from lamson_milter.decision.transaction import Transaction
from lamson_milter.filters import CONNECTION, MESSAGE, RECIPIENT, SENDER, STAGES
from lamson_milter.libmilter.context import (
    PEER_MACROS,
    RECIPIENT_MACRO,
    SENDER_MACRO,
    answer,
    apply,
    client,
    macro,
)
from lamson_milter.libmilter.quickness import Quickness
from lamson_milter.libmilter.session import NEVER, Session
from lamson_milter.libmilter.spool import Spool
from lamson_milter.libmilter.threads import FilterThreads, TooLateError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lamson_milter.decision.outcome import Outcome
    from lamson_milter.decision.transaction import Rules
    from lamson_milter.libmilter.context import Context

    T = TypeVar("T")

MAX_HEADER = 1 << 20  # octets of a header that filters see, as in lamson.header
FIELD_COST = 64  # octets that each field counts for besides its text, as it takes memory

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
_MACROS = (
    (milter.M_CONNECT, " ".join(PEER_MACROS)),
    (milter.M_ENVFROM, SENDER_MACRO),
    (milter.M_ENVRCPT, f"i {RECIPIENT_MACRO}"),
    (milter.M_EOM, "i"),
)


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds for one command and for a whole message; octets of a body that filters see."""

    command: float = 25.0
    content: float = 250.0
    body: int = 10 << 20


class Callbacks:
    """The callbacks of one process."""

    def __init__(
        self,
        rules: Rules,
        threads: FilterThreads,
        limits: Limits,
        *,
        checks_recipients: bool = False,
        on_stuck: Callable[[], None] = lambda: None,
    ) -> None:
        self._rules = rules
        self._threads = threads
        self._limits = limits
        self._on_stuck = on_stuck
        self.sessions: set[Session] = set()
        self.last_end = 0.0  # monotonic: when a message was answered last
        filters = rules.filters
        self._asks_sender = bool(filters.sender)
        self._asks_recipient = bool(filters.recipient.routes)
        self._asks_message = bool(filters.message.routes)
        self._quickness = {
            stage: Quickness(
                may_be_quick=not any(
                    one.handler.needs_session for one in filters.all if one.stage == stage
                )
            )
            for stage in STAGES
        }
        self._body = limits.body if filters.body is None else min(filters.body, limits.body)
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
            actions, steps = options[0] & _ACTIONS, options[1] & self._steps
            options[:] = [actions, steps, 0, 0]
            session = Session(self._rules, steps)
            ctx.setpriv(session)
            if actions & milter.SETSYMLIST:
                for stage, macros in _MACROS:
                    ctx.setsymlist(stage, macros)
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
            connection.peer = Peer(name=name, addr=str(host), port=str(port))
            return answer(ctx, self._run(CONNECTION, session, connection.connect))
        except BaseException as error:  # noqa: BLE001
            return self._failed(ctx, error)

    def helo(self, ctx: Context, name: str) -> int:
        session = ctx.getpriv()
        try:
            connection = session.connection
            peer = connection.peer if connection.peer is not NOBODY else client(ctx)
            connection.peer = Peer(name=peer.name, addr=peer.addr, port=peer.port, helo=name)
        except BaseException:  # noqa: BLE001
            log.logger.exception("milter: HELO failed")
        return session.reply(milter.P_NR_HELO)

    def mail(self, ctx: Context, given: bytes, *parameters: bytes) -> int:
        session = ctx.getpriv()
        try:
            session.reset()
            connection = session.connection
            if connection.peer is NOBODY:
                connection.peer = client(ctx)
            session.transaction = transaction = Transaction(connection)
            path, words = _text(given), [_text(one) for one in parameters]
            read = macro(ctx, SENDER_MACRO)
            if not self._asks_sender:
                transaction.mail(path, words, read=read)
                return session.reply(milter.P_NR_MAIL)
            return answer(
                ctx, self._run(SENDER, session, lambda: transaction.mail(path, words, read=read))
            )
        except BaseException as error:  # noqa: BLE001
            return self._failed(ctx, error, milter.P_NR_MAIL)

    def rcpt(self, ctx: Context, given: bytes, *parameters: bytes) -> int:
        session = ctx.getpriv()
        try:
            transaction = session.transaction
            if transaction is None or session.has_failed:
                return self._failed(ctx, None, milter.P_NR_RCPT)
            path, words = _text(given), [_text(one) for one in parameters]
            read = macro(ctx, RECIPIENT_MACRO)
            if not self._asks_recipient:
                refusal = transaction.rcpt(path, words, read=read)
            else:
                id = macro(ctx, "i")
                refusal = self._run(
                    RECIPIENT,
                    session,
                    lambda: transaction.rcpt(path, words, read=read, queue_id=id),
                )
            if refusal is None:
                return session.reply(milter.P_NR_RCPT)
            id = macro(ctx, "i") or "NOQUEUE"
            log.event("refused", id, recipient=path, sender=transaction.sender, reply=refusal)
            return answer(ctx, refusal)
        except BaseException as error:  # noqa: BLE001
            return self._failed(ctx, error, milter.P_NR_RCPT)

    def header(self, ctx: Context, name: str, value: bytes) -> int:
        session = ctx.getpriv()
        try:
            session.header_size += FIELD_COST + len(name) + len(value)
            transaction = session.transaction
            if transaction is not None:
                if session.header_size > MAX_HEADER:
                    transaction.drop_header(name)
                else:
                    transaction.fields.append(
                        (name, value if session.has_leading_space else b" " + value)
                    )
        except BaseException as error:  # noqa: BLE001
            return self._failed(ctx, error, milter.P_NR_HDR)
        return session.header_reply

    def body(self, ctx: Context, chunk: bytes) -> int:
        session = ctx.getpriv()
        try:
            if session.spool is None:
                session.spool = Spool(self._body)
            if session.spool.write(chunk) and session.steps & milter.P_SKIP:
                return int(milter.SKIP)
        except BaseException as error:  # noqa: BLE001
            return self._failed(ctx, error, milter.P_NR_BODY)
        return session.reply(milter.P_NR_BODY)

    def end(self, ctx: Context) -> int:
        session = ctx.getpriv()
        try:
            transaction, spool = session.transaction, session.spool
            if transaction is None or session.has_failed:
                return self._failed(ctx, None)
            queue_id = macro(ctx, "i")

            def decide() -> Outcome:
                return transaction.end(
                    lambda: ParsedMessage(
                        header_bytes(transaction.fields) + (spool.read() if spool else b"")
                    ),
                    queue_id=queue_id,
                    now=time.time(),
                    is_truncated=spool is not None and spool.is_truncated,
                )

            outcome = self._run(MESSAGE, session, decide) if self._asks_message else decide()
            for edit in as_postfix_counts(outcome.edits):
                apply(ctx, session, edit)
            if outcome.quarantine is not None:
                ctx.quarantine(outcome.quarantine)
            _log(transaction, outcome, queue_id)
            if outcome.is_discarded:
                return int(milter.DISCARD)
            return answer(ctx, outcome.refusal)
        except BaseException as error:  # noqa: BLE001
            return self._failed(ctx, error)
        finally:
            session.reset()
            self.last_end = time.monotonic()

    def abort(self, ctx: Context) -> int:
        ctx.getpriv().reset()
        return int(milter.CONTINUE)

    def close(self, ctx: Context) -> int:
        session = ctx.getpriv()
        if session is not None:
            session.reset()
            self.sessions.discard(session)
        return int(milter.CONTINUE)

    def is_stuck(self) -> bool:
        """True where a filter that runs without a thread has passed its time limit."""
        limit = time.monotonic() - self._limits.content
        return any(session.since < limit for session in list(self.sessions))

    def _run(self, stage: str, session: Session, work: Callable[[], T]) -> T:
        quickness = self._quickness[stage]
        if quickness.is_quick:
            session.since = time.monotonic()
            try:
                return quickness.time(work)
            finally:
                session.since = NEVER
        limit = self._limits.content if stage == MESSAGE else self._limits.command
        try:
            return self._threads.run(lambda: quickness.time(work), limit)
        except TooLateError:
            quickness.took(limit)
            raise

    def _failed(self, ctx: Context, error: BaseException | None, silent: int = 0) -> int:
        """Answer 451, or make the end of the message do so where nothing is answered now."""
        session = ctx.getpriv()
        if isinstance(error, TooLateError):
            log.logger.error("id=%s: filters: %s; answered 451", macro(ctx, "i") or "-", error)
            if self._threads.is_short:
                self._on_stuck()
        elif error is not None:
            log.logger.error(
                "id=%s: milter: %s", macro(ctx, "i") or "-", log.named(error), exc_info=error
            )
        # What was given up may still change the transaction: it must not be answered otherwise.
        session.has_failed = True
        if session.steps & silent:
            return int(milter.NOREPLY)
        try:
            return answer(ctx, LOCAL_ERROR)
        except BaseException:  # noqa: BLE001
            return int(milter.TEMPFAIL)


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "surrogateescape")


def _log(transaction: Transaction, outcome: Outcome, queue_id: str) -> None:
    id = queue_id or "NOQUEUE"
    for recipient, reply in outcome.removed:
        log.event("removed", id, recipient=recipient, reply=reply)
    log.event(
        "filtered",
        id,
        sender=transaction.sender,
        recipients=len(transaction.recipients),
        verdict=outcome,
        reply=outcome.refusal,
        reason=outcome.quarantine,
        edits=len(outcome.edits) or None,
    )
