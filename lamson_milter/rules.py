"""The rules of an application: its filters, how each is asked, and which recipients there are.

For the worker and for mail that is offered in tests; `transaction` is given them. A filter is run
with the session it wants, and so that nothing it does breaks the milter. Whatever it raises,
SystemExit too, is logged with the queue id and defers the message (451 4.3.0); an SMTPError is the
verdict it says. Its session only reads: that the message is accepted here does not mean that
Postfix can queue it. What a filter has to remember whatever becomes of the message is for `Policy`.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lamson import log, telemetry
from lamson.errors import LamsonError
from lamson.message.lineage import root_of
from lamson.smtp.reply import LOCAL_ERROR, NO_SUCH_RECIPIENT, SMTPError
from lamson.storage.policy import Policy
from lamson_milter.actions import MAX_LINES, Defer, Reject, decision
from lamson_milter.decision.limits import SizeLimits
from lamson_milter.decision.transaction import Rules
from lamson_milter.filters import Filters
from lamson_milter.proving import filters_for_proof
from lamson_milter.subjects import FilteredMail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sqlalchemy.orm import Session

    from lamson.app import Application
    from lamson.routing.domains import Domains
    from lamson.routing.router import Router
    from lamson.smtp.reply import Reply
    from lamson.storage.database import Database
    from lamson_milter.actions import Decision
    from lamson_milter.decision.verdicts import Subject
    from lamson_milter.filters import Filter

FAILED = Defer(LOCAL_ERROR.enhanced, LOCAL_ERROR.text, LOCAL_ERROR.code)


def rules_of(application: Application, *, raise_errors: bool = False) -> Rules:
    """What decides about mail to this application. Raises what `Filters.collect` raises."""
    settings = application.settings
    check = recipient_check(application.router, application.domains)
    own = filters_for_proof(application.router, application.witness)
    filters = Filters.collect(settings.filters, settings.route_defaults, own)
    policy = None
    if filters.needs_policy and application.database is not None:
        policy = Policy.beside(application.database)
    return Rules(
        filters=filters,
        ask=Asking(application.database, policy, raise_errors=raise_errors),
        refuse=check if settings.milter.check_recipients else lambda recipient: None,
        notary=application.notary,
        witness=application.witness,
        limits=SizeLimits(
            settings.milter.max_body,
            settings.milter.oversized_header,
            settings.milter.oversized_body,
        ),
    )


def recipient_check(router: Router, domains: Domains) -> Callable[[str], Reply | None]:
    """A function that gives the reply for a recipient which has to be refused, else None.

    For `check_recipients`, the alternative to the socketmap: the same routes decide there and here.
    Refused is an address in our domains that no route matches; others are Postfix's business.
    """

    def refuse(recipient: str) -> Reply | None:
        if not domains.holds(recipient.rpartition("@")[2]) or router.match(recipient):
            return None
        return NO_SUCH_RECIPIENT

    return refuse


class Asking:
    """Runs filters. With ``raise_errors`` what a filter raises is raised: for tests."""

    def __init__(
        self,
        database: Database | None = None,
        policy: Policy | None = None,
        *,
        raise_errors: bool = False,
    ) -> None:
        self._database = database
        self._policy = policy
        self._raise_errors = raise_errors

    def __call__(
        self, one: Filter, subject: Subject, captures: Mapping[str, str], id: str
    ) -> Decision | None:
        """The filter's verdict. Raises nothing."""
        try:
            if not telemetry.ACTIVE:
                return self._judged(one, subject, captures)
            with telemetry.within(_conversation(subject, id), f"filter {one}", id=id):
                return self._judged(one, subject, captures)
        except SMTPError as error:
            return _verdict(error.reply)
        except BaseException as error:
            if self._raise_errors:
                raise
            log.logger.error(
                "id=%s: filter %s failed: %s", id, one, log.named(error), exc_info=error
            )
            return FAILED

    def _judged(
        self, one: Filter, subject: Subject, captures: Mapping[str, str]
    ) -> Decision | None:
        handler = one.handler
        if handler.needs_policy and self._policy is None:
            raise LamsonError("a Policy needs a database: set `database` in the settings")
        if not handler.needs_session:
            return decision(handler.call(subject, captures, None, None, self._policy))
        with self._session() as session:
            return decision(handler.call(subject, captures, None, session, self._policy))

    @contextmanager
    def _session(self) -> Iterator[Session]:
        from sqlalchemy.orm import Session

        if self._database is None:
            raise LamsonError("a Session needs a database: set `database` in the settings")
        with self._database.read_only() as connection, Session(connection) as session:
            yield session


def _conversation(subject: Subject, id: str) -> Any:
    """Before there is a message, nothing tells which that is: None."""
    if not isinstance(subject, FilteredMail):
        return None
    return telemetry.conversation(root_of(subject) or id)


def _verdict(reply: Reply) -> Reject | Defer:
    """The reply as a verdict; what a handler's may leave out, or have in its text, is mended."""
    kind = Reject if reply.is_permanent else Defer
    words = [" ".join(line.split()) for line in reply.text.splitlines()]
    lines = ["".join([one if one.isprintable() else "?" for one in line]) for line in words if line]
    text = "\n".join(lines[:MAX_LINES]) or "Refused"
    return kind(reply.enhanced or f"{reply.code // 100}.0.0", text, reply.code)
