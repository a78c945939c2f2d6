"""A helpdesk: customers ask support@, agents answer, and each question is a ticket."""

from lamson import (
    Delivery,
    Expired,
    Mailer,
    MailRequest,
    Outcome,
    Signed,
    State,
    Thread,
    outcome,
    per_thread,
    route,
    route_like,
    state_key_generator,
    timeout,
)
from sqlalchemy.orm import Session

from app.letters import tell_agents, tell_customers, tell_of
from app.model import AGENTS, Ticket

state_key = state_key_generator(per_thread)  # plumbing


@route("support@(host)")
@route(r"support\+(thread)@(host)", thread=Signed("thread"))
@route(r"desk\+(agent)@(host)", agent=Signed("thread-agent", days=365))
def START(
    message: MailRequest,
    delivery: Delivery,
    db: Session,
    thread: Thread,
    host: str,
    agent: str = "",
) -> State:
    """A new question."""
    if message.is_automatic:
        return None
    if agent:  # in a thread that Lamson has forgotten
        return OPEN(message, delivery, db, thread, host, agent)
    ticket = Ticket.begin(db, thread.id, thread.subject, host)
    tell_agents(ticket, delivery, thread)
    us = thread.address(f"support@{host}")
    delivery.reply("mail/received.txt", sender=us, subject=ticket.title, ticket=ticket)
    return OPEN


@route_like(START)
def OPEN(
    message: MailRequest,
    delivery: Delivery,
    db: Session,
    thread: Thread,
    host: str,
    agent: str = "",
) -> State:
    """What a customer writes goes to the agents; what they write to him, or it is a command."""
    if message.is_automatic:
        return None
    ticket = Ticket.of(db, thread.id)
    ticket.is_open = True
    if not agent:
        tell_agents(ticket, delivery, thread)
        return OPEN
    match message.new_text.lower().split():
        case ["close"]:
            ticket.is_open = False
            tell_customers("mail/closed.txt", ticket, delivery, thread)
            return CLOSED
        case ["assign", who] if who in AGENTS:
            ticket.agent = who
            tell_agents(ticket, delivery, thread)
        case _:
            tell_customers("mail/passed_on.txt", ticket, delivery, thread)
    return OPEN


@route_like(START)
def CLOSED(
    message: MailRequest,
    delivery: Delivery,
    db: Session,
    thread: Thread,
    host: str,
    agent: str = "",
) -> State:
    """Whoever writes again opens it again."""
    return OPEN(message, delivery, db, thread, host, agent)


@outcome
def BECAME(outcome: Outcome, mailer: Mailer, db: Session) -> State:
    """What an agent wrote may not have reached the customer."""
    if outcome.is_permanent and outcome.recipient not in AGENTS:
        tell_of(Ticket.of(db, outcome.thread_id), "mail/trouble.txt", mailer, outcome)
    return None


@timeout(OPEN, days=2)
def remind(expired: Expired, mailer: Mailer, db: Session) -> State:
    """Nobody has written for two days."""
    tell_of(Ticket.of(db, expired.thread_id), "mail/reminder.txt", mailer)
    return None
