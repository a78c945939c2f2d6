"""Message: what a message says, whoever got it: one that came, or one that is attached to it.

For handlers and filters, as `MailRequest` and as `Part.message`. It is read only when something is
asked. Every attribute is total: a stranger's mail, however broken or hostile, gives the best that
can be had, and `Message.defects` says what is wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson.message import message_ids
from lamson.message.parsed import ParsedMessage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from lamson.message.defects import Defects
    from lamson.message.fragments import Fragment
    from lamson.message.mailboxes import Mailbox
    from lamson.message.part import Part

_MAX_DATE = 200  # characters
_SHOWN = ("From", "To", "Cc", "Date", "Subject")


class Message:
    """The content of a message.

    ``message["Subject"]`` is the text of the first such field, None where there is none; names
    are matched in any case. Such a text is one line: it holds no CR, LF or NUL.
    """

    __slots__ = ("content",)

    def __init__(self, content: bytes | ParsedMessage) -> None:
        self.content = content if isinstance(content, ParsedMessage) else ParsedMessage(content)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self.raw)} octets>"

    def __str__(self) -> str:
        """The message for people: the usual fields, an empty line, the body."""
        fields = [f"{name}: {self[name]}\n" for name in _SHOWN if name in self]
        return f"{''.join(fields)}\n{self.body}"

    # The header

    @property
    def raw(self) -> bytes:
        """The message as it arrived, byte for byte."""
        return self.content.raw

    def __getitem__(self, name: str) -> str | None:
        return self.content.header.get(name)

    def get(self, name: str, default: str | None = None) -> str | None:
        """The text of the first field called ``name``, else ``default``."""
        value = self.content.header.get(name)
        return default if value is None else value

    def get_all(self, name: str) -> list[str]:
        """The texts of all fields called ``name``, from the top down; [] where there is none."""
        return self.content.header.get_all(name)

    def raw_header(self, name: str) -> bytes | None:
        """The first field called ``name`` as it came: undecoded, with its folds."""
        return next(self.content.header.raw(name), None)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.raw_header(name) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def keys(self) -> list[str]:
        """The names of the fields from the top down; a repeated field stands there repeatedly."""
        return [name for name, _ in self.content.header.fields()]

    def items(self) -> list[tuple[str, str]]:
        """The fields as (name, text), from the top down."""
        return self.content.header.items()

    @property
    def subject(self) -> str:
        """The text of the Subject field, "" without one."""
        return self["Subject"] or ""

    @property
    def from_(self) -> list[Mailbox]:
        """The mailboxes of the From field; most often one."""
        return self._mailboxes("From")

    @property
    def reply_to(self) -> list[Mailbox]:
        """The mailboxes of the Reply-To field; [] without one."""
        return self._mailboxes("Reply-To")

    @property
    def to(self) -> list[Mailbox]:
        """The mailboxes of the To field, those of groups too."""
        return self._mailboxes("To")

    @property
    def cc(self) -> list[Mailbox]:
        """The mailboxes of the Cc field."""
        return self._mailboxes("Cc")

    def _mailboxes(self, name: str) -> list[Mailbox]:
        return self.content.mailboxes(name)

    @property
    def date(self) -> datetime | None:
        """When the message says that it was written (RFC 5322 section 3.3), with a time zone.

        None where that is no date. Where no zone is told, it is UTC.
        """
        from lamson.message.date import parse  # the email package's parser takes a while to load

        return parse((self["Date"] or "")[:_MAX_DATE])

    @property
    def message_id(self) -> str | None:
        """The Message-ID with its angle brackets; None where there is no usable one."""
        return next(iter(message_ids.read(self.raw_header("Message-ID"))), None)

    @property
    def references(self) -> list[str]:
        """The ids in the References field, with angle brackets, in order: the parent is last."""
        return message_ids.read(self.raw_header("References"), bare=True)

    @property
    def in_reply_to(self) -> list[str]:
        """The ids in the In-Reply-To field, with angle brackets; most often one."""
        return message_ids.read(self.raw_header("In-Reply-To"), bare=True)

    # The body

    @property
    def body(self) -> str:
        r"""All text that a person sees, lines ending in ``\n``; "" where there is none.

        Of alternatives the text/plain, else the HTML as text. Texts that stand beside one another
        are joined, ``format=flowed`` is undone.
        """
        return self.content.body

    @property
    def fragments(self) -> list[Fragment]:
        """The parts of `body`, each with a ``kind``; their texts add up to it.

        The kinds are "new", "quote", "signature", "forwarded" and "footer".
        """
        return list(self.content.fragments)

    @property
    def new_text(self) -> str:
        """What the writer wrote himself: the new fragments, joined."""
        return "".join(text for kind, text in self.fragments if kind == "new")

    @property
    def html(self) -> str | None:
        """The text/html of the message, None where there is none. Not safe to show as it is."""
        return self.content.html

    @property
    def parts(self) -> list[Part]:
        """The parts that hold no further parts, in order, and attached messages.

        An attached message is a part, after which stands what it holds; see `Part.within`.
        """
        return self.content.parts

    @property
    def attachments(self) -> list[Part]:
        """The parts that a mail reader offers to save: all but the texts without a file name.

        An attached message is one of them (see `Part.message`), and what it holds is none.
        """
        return [part for part in self.parts if part.within is None and part.is_attachment]

    @property
    def defects(self) -> Defects:
        """What is wrong with the message, in words; [] for most mail. Reads all of it.

        ``message.defects.could_hide`` is true where something could not be looked into.
        """
        return self.content.defects
