"""What agents and customers are sent."""

from lamson import Delivery, Mailer, Outcome, Thread

from app.model import AGENTS, Ticket


def tell_agents(ticket: Ticket, delivery: Delivery, thread: Thread) -> None:
    """Send them the message, from an address that is for them alone."""
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
