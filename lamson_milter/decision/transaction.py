"""One mail at SMTP time, stage by stage: filters are asked, one decision and its edits come out.

For the milter's callbacks and for tests of filters. No I/O: a filter is run by ``Rules.ask``, which
gives its verdict and never raises. What is refused at RCPT is refused for that recipient; how its
filters are asked about the message is said in `inquiry`, what it comes to then in `outcome`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lamson.message import notes
from lamson.smtp import address
from lamson.smtp.envelope import NOBODY, Envelope, Peer, QueueId, Recipient
from lamson_milter.actions import AddHeader, ChangeHeader, Reject
from lamson_milter.decision.header import IncomingHeader
from lamson_milter.decision.inquiry import NO_CAPTURES, Inquiry
from lamson_milter.decision.limits import MAX_FORGED, TOO_MANY_NOTES, SizeLimits
from lamson_milter.decision.outcome import Outcome, decide
from lamson_milter.decision.paths import parameters_of, read_address
from lamson_milter.decision.verdicts import Addressee, Verdicts
from lamson_milter.subjects import Arrival, Connection

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lamson.message.notes import Notary, Note
    from lamson.message.parsed import ParsedMessage
    from lamson.message.witness import Witness
    from lamson.smtp.reply import Reply
    from lamson_milter.actions import Decision, Edit
    from lamson_milter.decision.verdicts import Subject
    from lamson_milter.filters import Filter, Filters

    Ask = Callable[[Filter, Subject, Mapping[str, str], str], Decision | None]

_DEFAULT_LIMITS = SizeLimits()
_EIGHT_BIT = ("8BITMIME", "BINARYMIME")  # RFC 6152, RFC 3030


@dataclass(frozen=True, slots=True)
class Rules:
    """What all transactions of a process share.

    ``ask(filter, subject, captures, id)`` runs a filter. ``refuse`` gives the reply for a recipient
    that the application has no route for, None for any other. ``witness`` proves authors.
    """

    filters: Filters
    ask: Ask
    refuse: Callable[[str], Reply | None] = lambda recipient: None
    notary: Notary | None = None
    witness: Witness | None = None
    limits: SizeLimits = _DEFAULT_LIMITS

    @property
    def body(self) -> int:
        """Octets of a body that filters are shown."""
        wanted = self.filters.body
        return self.limits.body if wanted is None else min(wanted, self.limits.body)


@dataclass(frozen=True, slots=True)
class Arriving:
    """What Postfix makes of a recipient: "" where it does not tell.

    ``read`` is the address that it reads in the path, ``transport`` and ``next_hop`` what it would
    deliver by. It has a ``queue_id`` once it has taken a recipient: where it still has none ("",
    not None for one that is not told), it has refused those that were taken here before.
    """

    read: str = ""
    transport: str = ""
    next_hop: str = ""
    queue_id: str | None = None


_UNTOLD = Arriving()


class ConnectionState:
    """A client's connection: what its filters came to counts for each of its mails."""

    __slots__ = ("asking", "kept", "peer", "rules", "verdicts")

    def __init__(self, rules: Rules, peer: Peer = NOBODY) -> None:
        self.rules = rules
        self.peer = peer
        self.verdicts = Verdicts()
        self.kept: dict[str, Any] = {}
        self.asking: Filter | None = None
        """The filter that is being asked, for the log where it does not end."""

    def connect(self) -> Reply | None:
        """Ask the connection's filters; gives a refusal."""
        verdicts = self.verdicts
        for one in self.rules.filters.connection:
            subject = Connection(self.peer, kept=self.kept)
            if verdicts.take(one, subject, self.ask(one, subject, NO_CAPTURES, "-")):
                break
        return verdicts.refusal

    def ask(
        self, one: Filter, subject: Subject, captures: Mapping[str, str], id: str
    ) -> Decision | None:
        """What a filter says of a subject."""
        self.asking = one
        try:
            return self.rules.ask(one, subject, captures, id)
        finally:
            self.asking = None

    @property
    def refused_by(self) -> str | None:
        """The filter that refused the client."""
        return self.verdicts.by_name


class Transaction:
    """One mail. The methods are called in the order of SMTP."""

    __slots__ = (
        "_addressees",
        "_connection",
        "_eight_bit",
        "_header",
        "_kept",
        "_message_verdicts",
        "_rules",
        "_sender_verdicts",
        "_smtputf8",
        "refused_by",
        "sender",
    )

    def __init__(self, connection: ConnectionState) -> None:
        self._rules = connection.rules
        self._connection = connection
        self._addressees: list[Addressee] = []
        self._sender_verdicts = Verdicts()
        self._message_verdicts = Verdicts()  # of the filters that are asked about it as a whole
        self._kept = dict(connection.kept)
        self._header = IncomingHeader()
        self._eight_bit = self._smtputf8 = False
        self.sender = ""
        self.refused_by: str | None = None  # the filter that refused sender or recipient last

    def mail(self, given: str, parameters: Sequence[str] = (), *, read: str = "") -> Reply | None:
        """MAIL FROM: gives a refusal. ``given`` is the path with its angle brackets.

        ``read`` is the address that Postfix reads in it, "" where that is not known. Postfix takes
        more than RFC 5321 allows, ``<zed(a comment)@host>``, and goes by what it reads.
        """
        self.sender = read_address(given, read, null=True)
        connection = self._connection
        told = parameters_of(parameters)
        self._eight_bit = told.get("BODY", "").upper() in _EIGHT_BIT
        self._smtputf8 = "SMTPUTF8" in told
        if not connection.peer.proto and (told or connection.peer.sasl or connection.peer.tls):
            connection.peer = replace(connection.peer, proto="ESMTP")  # SMTP has none of these
        if connection.verdicts.is_settled or not self._rules.filters.sender:
            return None
        verdicts = self._sender_verdicts
        for one in self._rules.filters.sender:
            subject = Arrival(
                connection.peer,
                self.sender,
                parameters=told,
                notes=connection.verdicts.notes | verdicts.notes,
                kept=self._kept,
                smtputf8=self._smtputf8,
                eight_bit=self._eight_bit,
            )
            if verdicts.take(one, subject, connection.ask(one, subject, NO_CAPTURES, "-")):
                break
        self.refused_by = verdicts.by_name
        return verdicts.refusal

    def rcpt(
        self, given: str, parameters: Sequence[str] = (), told: Arriving = _UNTOLD
    ) -> Reply | None:
        """RCPT TO: gives a refusal, which is this recipient's alone.

        Mail that comes by no network cannot be answered here (Postfix's MILTER_README): what was
        refused is a verdict on that recipient at the end.
        """
        if told.queue_id == "":
            for earlier in self._addressees:
                earlier.is_doubtful = True
        read = told.read
        recipient = read_address(given, read)
        self.refused_by = None
        verdicts = Verdicts()
        refusal = self._rules.refuse(recipient)
        if refusal is not None:
            verdicts.verdict = Reject(refusal.enhanced, refusal.text, refusal.code)
        elif not self.is_settled and self._rules.filters.recipient.routes:
            self._ask_about_recipient(recipient, parameters, told, verdicts)
        if verdicts.refusal is not None and not self.peer.is_local:
            self.refused_by = verdicts.by_name
            return verdicts.refusal
        path = f"<{read}>"
        paths = (given, path) if read and path != given else (given,)
        self._addressees.append(Addressee(paths, recipient, verdicts))
        return None

    def _ask_about_recipient(
        self, recipient: str, parameters: Sequence[str], told: Arriving, verdicts: Verdicts
    ) -> None:
        queue_id = told.queue_id or ""
        for one, captures in self._rules.filters.recipient.match(recipient):
            subject = Arrival(
                self.peer,
                self.sender,
                Recipient(recipient, captures),
                parameters=parameters_of(parameters),
                notes=self._common_notes() | verdicts.notes,
                kept=self._kept,
                smtputf8=self._smtputf8,
                eight_bit=self._eight_bit,
                queue_id=QueueId(queue_id),
                transport=told.transport,
                next_hop=told.next_hop,
            )
            verdict = self._connection.ask(one, subject, captures, queue_id or "-")
            if verdicts.take(one, subject, verdict):
                break

    def header(self, name: str, value: bytes) -> int:
        """One header field; ``value`` as it stands behind the colon, folded with bare newlines.

        Gives the memory that it takes.
        """
        return self._header.add(name, value)

    def end(
        self,
        content: Callable[[], ParsedMessage],
        *,
        queue_id: str,
        now: float,
        is_truncated: bool = False,
    ) -> Outcome:
        """The end of the message. Raises ValueError where the notes are too many to be signed.

        ``is_truncated`` says that ``content`` has not all of the body.
        """
        if self._header.forged_notes > MAX_FORGED:
            return Outcome(refusal=TOO_MANY_NOTES)
        refusal = None
        if not self.is_settled and self._rules.filters.asks_message:
            refusal = self._inquiry(queue_id, now).ask(content, is_truncated=is_truncated)
        if refusal is not None:
            return Outcome(refusal=refusal)
        return decide(
            (self._connection.verdicts, self._sender_verdicts, self._message_verdicts),
            self._addressees,
            self._forged_notes(),
            lambda staying: self._own_notes(staying, queue_id, now),
        )

    def _inquiry(self, queue_id: str, now: float) -> Inquiry:
        envelope = Envelope(
            self.sender,
            tuple(self.recipients),
            replace(self.peer, ident=QueueId(queue_id)),
            self._smtputf8,
            self._eight_bit,
            received=now,
            id=queue_id or "-",
        )
        return Inquiry(
            self._connection,
            envelope,
            self._addressees,
            self._message_verdicts,
            self._header,
            kept=self._kept,
            common_notes=self._common_notes,
        )

    def paths(self, recipient: str) -> list[str]:
        """All that Postfix may know a recipient by: as it was written each time, and as it is read.

        Which of the two depends: it forgets a source route and a comment at once, and keeps
        ``host!user``. The same recipient may stand on the envelope in several ways.
        """
        wanted = address.normalise(recipient)
        found = [
            path
            for one in self._addressees
            if address.normalise(one.address) == wanted
            for path in one.paths
        ]
        return list(dict.fromkeys(found)) or [f"<{recipient}>"]

    def _forged_notes(self) -> list[Edit]:
        """Takes off what pretends to be notes, the last one first."""
        return [
            ChangeHeader(notes.HEADER, None, index)
            for index in range(self._header.forged_notes, 0, -1)
        ]

    def _own_notes(self, staying: Sequence[Addressee], queue_id: str, now: float) -> list[Edit]:
        """Adds the notes that were made."""
        common = self._common_notes()
        own = {one.address: one.verdicts.notes for one in staying if one.verdicts.notes}
        if self._rules.notary is None or not queue_id or not (common or own):
            return []
        values = self._rules.notary.sign(queue_id, common, own, now)
        return [AddHeader(notes.HEADER, value, 0) for value in values]

    @property
    def is_settled(self) -> bool:
        """True where connection or sender have been decided about."""
        return self._connection.verdicts.is_settled or self._sender_verdicts.is_settled

    def _common_notes(self) -> dict[str, Note]:
        common = self._connection.verdicts.notes | self._sender_verdicts.notes
        return common | self._message_verdicts.notes

    @property
    def fields(self) -> list[tuple[str, bytes]]:
        """The header fields that are shown, as (name, what follows the colon)."""
        return self._header.fields

    @property
    def has_utf8(self) -> bool:
        """True where the client declared SMTPUTF8 (RFC 6531)."""
        return self._smtputf8

    @property
    def peer(self) -> Peer:
        """The client."""
        return self._connection.peer

    @property
    def recipients(self) -> list[str]:
        """The recipients accepted so far."""
        return [one.address for one in self._addressees]
