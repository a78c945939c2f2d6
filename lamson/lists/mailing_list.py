"""A mailing list: an address, its rules, and what can be done with it.

For handlers. A `MailingList` is a value, made anew for each mail where there are many lists; who is
on it, what was posted and what waits for a moderator stand in tables of Lamson's, by its address.
Whatever it does is done in the transaction of who calls it: posts, answers and changes of
members are committed together with the handler's own work, or not at all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from lamson.errors import AddressError
from lamson.lists import answers, archive, bounces, commands, digest, members, moderation, posting
from lamson.lists.dmarc import Policies
from lamson.smtp import address

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.orm import Session

    from lamson.delivery.context import Delivery
    from lamson.delivery.outcomes import Outcome
    from lamson.delivery.posting import Posting
    from lamson.lists.archive import ArchivedPost
    from lamson.lists.members import Member, Mode
    from lamson.lists.posting import Result
    from lamson.mailer import Mailer
    from lamson.message.request import MailRequest

MAX_LOCAL = 32  # octets: with a token behind it a local part has 64 (RFC 5321 section 4.5.3.1.1)
_EVERYBODY = Policies()


@dataclass(frozen=True)
class MailingList:
    """The list with this ``address``.

    ``name`` is how people call it, by default the local part. ``posts_from`` says whose posts go
    out at once: those of "members", of "anyone" or of "moderators" alone; posts of ``others`` wait
    for a moderator ("hold") or are refused ("refuse"). With ``needs_proof`` a post whose author
    nothing proves is one of others.

    ``rewrite`` says when From becomes the list's own address: "needed" is where the author's domain
    asks others to refuse the mail otherwise (DMARC). ``subject_tag`` and ``footer`` change a
    post, so that its DKIM signature is taken off. A post of more than ``max_size`` octets is
    refused, and so is one that would wait where ``max_held`` posts do already, or ``max_held_size``
    octets of them.

    ``one_click`` is the https URL below which `OneClick` is mounted. ``archive`` keeps posts,
    ``archive_url`` and ``help_url`` are told to readers. Failed mail counts ``hard`` or ``soft``
    points, which halve every ``decay_days``; at ``pause_at`` points a member gets no more mail
    until he says that he wants it; after ``disable_after`` pauses he is not even told.

    ``policies`` knows DMARC policies, ``texts`` are other texts for what the list writes. Raises
    AddressError for what is no address, or has more than 32 octets before the @.
    """

    address: str
    name: str = ""
    posts_from: Literal["members", "anyone", "moderators"] = "members"
    others: Literal["hold", "refuse"] = "hold"
    needs_proof: bool = False
    rewrite: Literal["never", "needed", "always"] = "needed"
    subject_tag: str = ""
    footer: str = ""
    max_size: int = 10_000_000
    max_held: int = 100
    max_held_size: int = 50_000_000
    one_click: str = ""
    archive: bool = True
    archive_url: str = ""
    help_url: str = ""
    hard: float = 4.0
    soft: float = 1.0
    decay_days: float = 7.0
    pause_at: float = 3.0
    disable_after: int = 3
    policies: Policies = field(default=_EVERYBODY, repr=False, compare=False)
    texts: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        mailbox = address.for_ascii(address.parse_mailbox(self.address, smtputf8=True))
        local = mailbox.rpartition("@")[0]
        if not mailbox.isascii() or '"' in local or "+" in local:
            raise AddressError(f"{self.address!r}: a list needs a local part of ASCII, without +")
        if len(local) > MAX_LOCAL:
            raise AddressError(
                f"{self.address!r}: a list may have {MAX_LOCAL} octets before the @, as its"
                " addresses have a token there besides"
            )
        object.__setattr__(self, "address", mailbox)
        if self.one_click and not self.one_click.startswith("https://"):
            raise ValueError(f"one_click={self.one_click!r}: expected https:// (RFC 8058)")

    @cached_property
    def local(self) -> str:
        """What stands before the @."""
        return self.address.rpartition("@")[0]

    @cached_property
    def list_id(self) -> str:
        """What its List-Id field has in angle brackets (RFC 2919)."""
        return self.address.replace("@", ".").lower()

    @property
    def title(self) -> str:
        """How people call it."""
        return self.name or self.local

    def at(self, what: str) -> str:
        """Another address of the list: ``at("subscribe")`` is ``LOCAL-subscribe@HOST``."""
        local, _, host = self.address.rpartition("@")
        return f"{local}-{what}@{host}"

    # What its routes call

    def post(self, message: MailRequest, delivery: Delivery, db: Session) -> Result:
        """Pass a mail on to the members, or hold or refuse it; gives what became of it.

        Nobody gets it twice, and nobody who is in its To or Cc already, unless he wants that. What
        a program answered, what was here before and what came back from another list is dropped.
        """
        return posting.post(self, message, delivery, db)

    def command(self, what: str, message: MailRequest, delivery: Delivery, db: Session) -> None:
        """Do what a mail to ``LOCAL-WHAT@HOST`` asks for.

        ``what`` is subscribe or join, unsubscribe or leave, help, request (a member's settings) or
        owner (an owner's commands; mail of others goes to the owners). Raises SMTPError (550 5.1.1)
        for anything else.
        """
        commands.command(self, what, message, delivery, db)

    def answered(self, token: str, message: MailRequest, delivery: Delivery, db: Session) -> None:
        """Do what a mail to ``LOCAL+TOKEN@HOST`` says; ``token`` is what the route captured."""
        answers.answered(self, token, message, delivery, db)

    def bounced(self, outcome: Outcome, mailer: Mailer | Posting, db: Session) -> None:
        """Count what became of mail of this list for one member, from the `@outcome` function."""
        bounces.bounced(self, outcome, mailer, db)

    def digest(self, mailer: Mailer | Posting, db: Session) -> int:
        """Send what was posted since the last one as a digest; gives how many posts it has.

        For an `@every` function. Nothing is sent where nothing was posted.
        """
        return digest.send(self, mailer, db)

    # Who is on it

    def members(self, db: Session) -> list[Member]:
        """All who are on the list, in the order in which they came."""
        return members.listed(self.address, db)

    def member(self, db: Session, mailbox: str) -> Member | None:
        """Somebody who is on the list, however his address is spelt."""
        return members.find(self.address, db, mailbox)

    def exists(self, db: Session) -> bool:
        """Whether anybody is on it."""
        return bool(members.listed(self.address, db, most=1))

    def add(
        self, db: Session, mailbox: str, *, owner: bool = False, moderator: bool = False
    ) -> Member:
        """Put somebody on the list, without asking him. Raises AddressError."""
        return members.add(self.address, db, mailbox, owner=owner, moderator=moderator)

    def remove(self, db: Session, mailbox: str) -> bool:
        """Take somebody off; False where he was not on it."""
        return members.remove(self.address, db, mailbox)

    def change(
        self,
        db: Session,
        mailbox: str,
        *,
        mode: Mode | None = None,
        own_posts: bool | None = None,
        copies: bool | None = None,
        held: bool | None = None,
        owner: bool | None = None,
        moderator: bool | None = None,
    ) -> Member:
        """Change what is given of a member's preferences and offices. Raises LookupError."""
        return members.change(
            self.address,
            db,
            mailbox,
            mode=mode,
            own_posts=own_posts,
            copies=copies,
            is_held=held,
            is_owner=owner,
            is_moderator=moderator,
        )

    # What was posted

    def posts(
        self, db: Session, *, most: int = 100, before: int | None = None
    ) -> Sequence[ArchivedPost]:
        """The archive, newest first; ``before`` is the id of the last one of the page before."""
        return archive.page(self.address, db, most=most, before=before)

    def archived(self, db: Session, id: int) -> ArchivedPost | None:
        """One post of the archive; None where there is none of that id."""
        return archive.one(self.address, db, id)

    def held(self, db: Session) -> Sequence[moderation.HeldPost]:
        """What waits for a moderator, oldest first."""
        return moderation.waiting(self, db)

    def decide(self, id: int, decision: str, by: str, delivery: Delivery, db: Session) -> str:
        """Approve or reject what is held; gives who decided so before, "" where nobody did.

        Raises LookupError where nothing is held under that id, and ValueError for a decision that
        is neither "approved" nor "rejected".
        """
        return moderation.decide(self, id, decision, by, delivery, db)
