"""What the web and the mail have in common: somebody says something, and the others are told."""

from lamson import Delivery, Mailer, MailResponse
from sqlalchemy.orm import Session

from app.model import Comment, Person, Topic

HOST = "test.com"


def say(db: Session, topic: Topic, person: Person, text: str) -> Comment:
    """Add a comment to ``topic``."""
    comment = Comment(topic=topic, person=person, text=text)
    db.add(comment)
    db.flush()  # now it has its number
    return comment


def notifications(comment: Comment, mailer: Mailer | Delivery) -> list[MailResponse]:
    """One for each of the others who have said something, from an address that only he knows.

    Whoever writes there speaks for him, about this topic: so nobody else may get that mail.
    """
    topic = comment.topic
    others = {one.person for one in topic.comments} - {comment.person}
    return [
        mailer.compose(
            "mail/comment.txt",
            to=person.address,
            sender=f"reply+{mailer.sign('reply', f'{topic.id}.{person.id}')}@{HOST}",
            subject=f"Re: {topic.title}",
            comment=comment,
        )
        for person in sorted(others, key=lambda one: one.id)
    ]
