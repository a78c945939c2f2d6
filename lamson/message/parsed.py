"""The content of one message as it arrived: the bytes, and what somebody asked about them.

For the dispatcher: the recipients of one mail share one `ParsedMessage`, so that it is read at most
once, and only if somebody looks. Two threads may look at the same time: each result is put in place
whole, so the worst is that both work it out. Nothing here raises, whatever the bytes are; see
`Header` and `mime` for how header and parts are kept from costing time.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from lamson.message import address_list, fragments, html_marks, shown
from lamson.message.defects import Defects
from lamson.message.encoded_words import unfold
from lamson.message.header import Header
from lamson.message.mime import cut
from lamson.smtp import address

if TYPE_CHECKING:
    from lamson.message.fragments import Fragment
    from lamson.message.mailboxes import Mailbox
    from lamson.message.notes import Notary
    from lamson.message.part import Part
    from lamson.message.witness import Witness


class ParsedMessage:
    """A message's bytes, ``raw``, kept as they came, and their lazily parsed form.

    ``notary`` verifies the notes on it; without one there are none. ``witness`` tells what proves
    its author; without one nothing does. ``results`` is where `lamson.results` keeps what it has
    read, by authserv-id.
    """

    __slots__ = (
        "_body",
        "_defects",
        "_fragments",
        "_from",
        "_header",
        "_of_cr",
        "_parts",
        "notary",
        "raw",
        "results",
        "witness",
    )

    def __init__(
        self, raw: bytes, notary: Notary | None = None, witness: Witness | None = None
    ) -> None:
        self.raw = raw
        self.notary = notary
        self.witness = witness
        self.results: dict[str, Any] = {}
        self._defects = Defects()
        self._header: Header | None = None
        self._parts: list[Part] | None = None
        self._from: str | None = None
        self._body: str | None = None
        self._fragments: tuple[Fragment, ...] | None = None
        self._of_cr: bytes | None = None

    def cut_off(self, defect: str) -> None:
        """Note that ``raw`` is not all that came: ``defect`` says what was left out."""
        self._defects.add(defect, hides=True, kind="limit")

    @property
    def _lines(self) -> bytes:
        """``raw``; with its line ends made LF where all of them are a bare CR, as of old Macs."""
        if b"\n" in self.raw or b"\r" not in self.raw:
            return self.raw
        lines = self._of_cr
        if lines is None:
            self._defects.add("lines end in a bare CR", hides=True, kind="ambiguous")
            lines = self._of_cr = self.raw.replace(b"\r", b"\n")
        return lines

    @property
    def header(self) -> Header:
        header = self._header
        if header is None:
            header = self._header = Header(self._lines, self._defects)
        return header

    @property
    def parts(self) -> list[Part]:
        """The parts, in order; never empty. After an attached message stands what it holds."""
        parts = self._parts
        if parts is None:
            parts = self._parts = cut(self._lines, self.header, self._defects)
        return parts

    @property
    def from_address(self) -> str:
        """The one address in From, as written; else "" (RFC 5322 section 3.6.2).

        It is looked for where a person would (see `address_list`); "" where there are several.
        """
        found = self._from
        if found is None:
            found = self._from = self._single("From")
        return found

    @property
    def reply_to(self) -> str:
        """The one address in Reply-To, as it was written; else ""."""
        return self._single("Reply-To")

    def mailboxes(self, name: str) -> list[Mailbox]:
        """The mailboxes of the address fields called ``name``."""
        return address_list.read(self.header.raw(name), self._defects, name)

    def _single(self, name: str) -> str:
        fields = list(itertools.islice(self.header.raw(name), 2))
        if len(fields) != 1 or len(fields[0]) > address.MAX_HEADER:
            return ""
        single = address.single_mailbox(unfold(fields[0]).decode("utf-8", "replace")) or ""
        if "@" in single and single.isascii():
            return single
        if found := address_list.usable(single):
            return found
        addresses = {one.address for one in self.mailboxes(name)}
        return addresses.pop() if len(addresses) == 1 else ""

    @property
    def body(self) -> str:
        """All text that a person sees (see `shown`), "" where there is none."""
        body = self._body
        if body is None:
            body = self._body = shown.text_of(self.parts, self._defects)
        return body

    @property
    def fragments(self) -> tuple[Fragment, ...]:
        """What `body` is made of."""
        found = self._fragments
        if found is None:
            subject = self.header.get("Subject") or ""
            found = tuple(fragments.split(self.body, subject, html_marks.of(self)))
            self._fragments = found
        return found

    @property
    def html(self) -> str | None:
        """The first text/html that is no attachment."""
        return shown.html_of(self.parts)

    @property
    def defects(self) -> Defects:
        """What is wrong with the message, in words. Reads all of it."""
        self.header.items()
        self.header.examine()
        for part in self.parts:
            part.examine()
        _ = self.body
        return self._defects.copy()
