"""What the filters of a message are asked at its end: about it as a whole, then for each recipient.

For `transaction`. Nothing is read before a filter wants it. What filters could not be shown whole
is refused then, or handed over with `is_truncated` and a defect, as the limits say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lamson.smtp.envelope import Recipient
from lamson_milter.decision.limits import BODY_DEFECT, HEADER_DEFECT
from lamson_milter.subjects import FilteredMail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from lamson.message.notes import Note
    from lamson.message.parsed import ParsedMessage
    from lamson.smtp.envelope import Envelope
    from lamson.smtp.reply import Reply
    from lamson_milter.decision.header import IncomingHeader
    from lamson_milter.decision.transaction import ConnectionState
    from lamson_milter.decision.verdicts import Addressee, Verdicts
    from lamson_milter.filters import Filter

NO_CAPTURES: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class _Question:
    """A filter to ask about a message: for one recipient, or as a whole."""

    filter: Filter
    verdicts: Verdicts
    recipient: str
    captures: Mapping[str, str]


class Inquiry:
    """The filters of one message. What they come to for it as a whole goes into ``verdicts``.

    ``common_notes`` gives the notes that are for all recipients, as they are by then.
    """

    __slots__ = (
        "_addressees",
        "_common_notes",
        "_connection",
        "_envelope",
        "_header",
        "_kept",
        "_verdicts",
    )

    def __init__(
        self,
        connection: ConnectionState,
        envelope: Envelope,
        addressees: Sequence[Addressee],
        verdicts: Verdicts,
        header: IncomingHeader,
        *,
        kept: dict[str, Any],
        common_notes: Callable[[], dict[str, Note]],
    ) -> None:
        self._connection = connection
        self._envelope = envelope
        self._addressees = addressees
        self._verdicts = verdicts
        self._header = header
        self._kept = kept
        self._common_notes = common_notes

    def ask(self, content: Callable[[], ParsedMessage], *, is_truncated: bool) -> Reply | None:
        """Ask them; gives the refusal of what they cannot be shown.

        ``is_truncated`` says that ``content`` has not all of the body.
        """
        shared: ParsedMessage | None = None
        is_body_cut = is_truncated and self._is_limit_of_body()
        for asked in self._questions():
            if shared is None:
                limits = self._connection.rules.limits
                is_header_cut = self._header.is_cut
                refusal = limits.refusal(is_header_cut=is_header_cut, is_body_cut=is_body_cut)
                if refusal is not None:
                    return refusal
                shared = content()
                shared.witness = self._connection.rules.witness
                if is_header_cut:
                    shared.cut_off(HEADER_DEFECT)
                if is_body_cut:
                    shared.cut_off(BODY_DEFECT)
            subject = FilteredMail(
                shared,
                self._envelope,
                Recipient(asked.recipient, asked.captures),
                notes=self._notes_so_far(asked.verdicts),
                kept=self._kept,
                is_truncated=is_truncated or self._header.is_cut,
            )
            id = self._envelope.id
            verdict = self._connection.ask(asked.filter, subject, asked.captures, id)
            asked.verdicts.take(asked.filter, subject, verdict)
        return None

    def _questions(self) -> Iterator[_Question]:
        """Which filters are to be asked, one after the other, while nothing is settled."""
        filters = self._connection.rules.filters
        if all(one.verdicts.is_settled for one in self._addressees):
            return
        for one in filters.whole:
            yield _Question(one, self._verdicts, "", NO_CAPTURES)
            if self._verdicts.is_settled:
                return
        for addressee in self._addressees:
            verdicts = addressee.verdicts
            if verdicts.is_settled:
                continue
            for one, captures in filters.message.match(addressee.address):
                yield _Question(one, verdicts, addressee.address, captures)
                if verdicts.is_settled:
                    break

    def _is_limit_of_body(self) -> bool:
        """True where a body is cut by the limit, not because no filter wants more of it."""
        rules = self._connection.rules
        wanted = rules.filters.body
        return wanted is None or wanted > rules.limits.body

    def _notes_so_far(self, verdicts: Verdicts) -> Mapping[str, Note] | None:
        """A copy, since filters add to what they are shown; None for none."""
        common = self._common_notes()
        return common | verdicts.notes if common or verdicts.notes else None
