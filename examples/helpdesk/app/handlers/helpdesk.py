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
from sqlalchemy import select
from sqlalchemy.orm import Session

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
    if db.scalars(select(Ticket).filter_by(thread=thread.id)).first():  # older than its thread
        return OPEN(message, delivery, db, thread, host, agent)
    ticket = Ticket(thread=thread.id, subject=thread.subject, host=host)
    db.add(ticket)
    db.flush()  # now it has its number
    tell_agents(ticket, delivery, thread)
    delivery.reply(
        "mail/received.txt",
        sender=thread.address(f"support@{host}"),
        subject=ticket.title,
        ticket=ticket,
    )
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
    """What a customer writes goes to the agents, and what they write to him, or is a command."""
    if message.is_automatic:
        return None
    ticket = ticket_of(db, thread.id)
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


@timeout(OPEN, days=2)
def remind(expired: Expired, mailer: Mailer, db: Session) -> State:
    """Nobody has written for two days."""
    ticket = ticket_of(db, expired.thread_id)
    tell_of(ticket, "mail/reminder.txt", mailer)
    return None


@outcome
def BECAME(outcome: Outcome, mailer: Mailer, db: Session) -> State:
    """What an agent wrote may not reach the customer."""
    if outcome.is_permanent and outcome.recipient not in AGENTS:
        ticket = ticket_of(db, outcome.thread_id)
        tell_of(ticket, "mail/trouble.txt", mailer, outcome=outcome)
    return None


def ticket_of(db: Session, thread_id: str) -> Ticket:
    return db.scalars(select(Ticket).filter_by(thread=thread_id)).one()


def tell_agents(ticket: Ticket, delivery: Delivery, thread: Thread) -> None:
    """Send them the message from an address that is for them alone, with what was said before."""
    mail = delivery.compose(
        "mail/passed_on.txt",
        to=ticket.agents,
        sender=thread.address(f"desk@{ticket.host}", "thread-agent"),
        subject=ticket.title,
        attachments=delivery.message.attachments,
    )
    delivery.send(mail)


def tell_customers(template: str, ticket: Ticket, delivery: Delivery, thread: Thread) -> None:
    """Send the message to whoever takes part and is no agent."""
    if customers := [one for one in thread.participants if one not in AGENTS]:
        mail = delivery.compose(
            template,
            to=customers,
            sender=thread.address(f"support@{ticket.host}"),
            subject=ticket.title,
            attachments=delivery.message.attachments,
        )
        delivery.send(mail, track=True)


def tell_of(ticket: Ticket, template: str, mailer: Mailer, outcome: Outcome | None = None) -> None:
    """Send the agents something that nobody wrote."""
    mail = mailer.compose(
        template,
        to=ticket.agents,
        sender=f"desk+{mailer.sign('thread-agent', ticket.thread)}@{ticket.host}",
        subject=ticket.title,
        ticket=ticket,
        outcome=outcome,
    )
    mailer.send(mail)
