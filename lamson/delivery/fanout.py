"""A post on its way to the members of a list, in pieces, each a transaction.

For `lamson.lists`, which sends the first piece with the post, and for the errands, which send the
others: the task of a piece is taken, its mail put into the outbox and the task of the next piece
written in one transaction. So whoever dies on the way, nobody gets it twice and nobody is missed;
and neither memory nor a transaction grows with the list. All mail of a post shares one stored
content; who came to the list after the post does not get it, who left meanwhile neither.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from lamson import log
from lamson.storage import lists, posted
from lamson.storage.tasks import Task

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from lamson.delivery.errand import Errand
    from lamson.delivery.posting import Posting

KIND = "list"
PIECE = 500  # members in one transaction
PURPOSE = "list"
"""What the addresses of lists are signed for."""

LEAVE = "u"
"""With what the payload begins that takes a member off his list."""

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Round:
    """What a piece has to know. ``after`` is the last member that has it, ``upto`` the last that
    is to have it; ``one_click`` is the start of an https URL, or ""."""

    post: int
    address: str
    list_id: str
    one_click: str
    module: str
    upto: int
    after: int = 0
    number: int = 0


def send(posting: Posting, connection: Connection, one: Round, due_at: float = 0.0) -> None:
    """Send the next piece, and ask for the one after it, due then. Raises what `Posting.token`
    raises."""
    post = lists.posted(connection, one.post)
    if post is None or not post["shared"]:
        return
    content = posted.kept(connection, post["shared"])
    found = lists.readers(
        connection, one.address, post["mode"], after=one.after, upto=one.upto, limit=PIECE
    )
    named = set(json.loads(post["named"]))
    author = lists.key_of(post["author"])
    copies = (
        (reader.address, top(posting, one, reader.id))
        for reader in found
        if (reader.copies or reader.key not in named) and (reader.own_posts or reader.key != author)
    )
    posting.module, before = one.module or posting.module, posting.module
    try:
        number = posting.send_copies(
            content,
            copies,
            author=one.address,
            message_id=post["message_id"],
            subject=post["subject"],
            list_id=one.list_id,
            smtputf8=post["smtputf8"],
            shared=post["shared"],
        )
    finally:
        posting.module = before
    log.event("posted", posting.id, list=one.address, post=one.post, copies=number)
    if len(found) < PIECE:
        lists.arrived(connection, one.post)
        return
    following = asdict(one) | {"after": found[-1].id, "number": one.number + 1}
    posting.todo.append(Task(KIND, f"{one.post} {one.number + 1}", following, due_at))


def perform(task: Task, errand: Errand) -> None:
    """Send the piece that the task is for."""
    # As old as the first piece: a post that began earlier is through earlier.
    send(errand.mailer, errand.connection, Round(**task.payload), task.due_at)


def top(posting: Posting, one: Round, member: int) -> bytes:
    """The fields of one member: how he leaves, by a mail or a click (RFC 2369, RFC 8058)."""
    token = posting.token(PURPOSE, payload(LEAVE, member))
    local, _, domain = one.address.rpartition("@")
    mail = f"<mailto:{local}+{token}@{domain}?subject=unsubscribe>"
    if not one.one_click:
        return f"List-Unsubscribe: {mail}\r\n".encode()
    return (
        f"List-Unsubscribe: <{one.one_click}{token}>,\r\n {mail}\r\n"
        "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
    ).encode()


def payload(action: str, id: int) -> str:
    """What a token says: a letter, and the id of a row to the base of 36."""
    digits = ""
    while id or not digits:
        id, digit = divmod(id, 36)
        digits = _DIGITS[digit] + digits
    return action + digits
