"""A dispatcher and a session for the LMTP tests, without a loop, a socket or a database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lamson.smtp import reply as replies
from lamson.smtp.reply import Reply
from lamson_lmtp.connection import Connection, Limits
from lamson_lmtp.session import Budget, Session

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lamson.smtp.envelope import Envelope

MEMBERS_ONLY = Reply(550, "5.7.1", "Members only")


class Handed:
    """One message as the dispatcher was given it."""

    def __init__(
        self,
        envelope: Envelope,
        content: bytes,
        routed: Sequence[Any],
        done: Callable[[int, Reply], None],
    ) -> None:
        self.envelope, self.content, self.routed, self.done = envelope, content, routed, done


class FakeDispatcher:
    """Decides by the local part: ``nobody…`` has no route, ``stranger…`` is refused at the end.

    ``bug…`` makes `route` raise, ``poison…`` makes `deliver` raise. With ``holds`` nothing is
    answered until the test calls ``done`` of the message.
    """

    def __init__(self, *, holds: bool = False) -> None:
        self.holds = holds
        self.messages: list[Handed] = []

    def route(self, address: str) -> Sequence[Any]:
        if address.startswith("bug"):
            raise RuntimeError("no route can be looked up")
        return () if address.startswith("nobody") else (address,)

    def deliver(
        self,
        envelope: Envelope,
        content: bytes,
        routed: Sequence[Any],
        done: Callable[[int, Reply], None],
    ) -> None:
        self.messages.append(Handed(envelope, content, routed, done))
        for index, recipient in enumerate(envelope.recipients):
            if recipient.startswith("poison"):
                raise RuntimeError("cannot take it")
            if not self.holds:
                done(index, MEMBERS_ONLY if recipient.startswith("stranger") else replies.OK)


def make_session(
    dispatcher: FakeDispatcher,
    *,
    limits: Limits | None = None,
    budget: Budget | None = None,
    wake: Callable[[], None] = lambda: None,
) -> Session:
    """A session that calls itself mail.example and names messages id1, id2, …"""
    return Session(
        dispatcher,
        Connection(limits or Limits(), "mail.example"),
        budget=budget or Budget(1 << 30),
        ids=(f"id{number}" for number in range(1, 1_000_000)),
        client="[192.0.2.9]",
        wake=wake,
    )


def converse(session: Session, data: bytes) -> bytes:
    """Send these octets; the octets that come back."""
    session.receive(data)
    return run(session)


def run(session: Session) -> bytes:
    """Let the session do all that it can; what it wants to send."""
    while session.advance().value == "answered":
        pass
    return session.data_to_send()
