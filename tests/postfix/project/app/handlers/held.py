"""Posts that wait for their author, who releases each by the address that he is told."""

from app.model import Effect
from sqlalchemy.orm import Session

from lamson import Delivery, MailRequest, Signed, route, stateless


@route(r"held-(name)@app\.test", name="[a-z]+")
@stateless
def HELD(message: MailRequest, delivery: Delivery, name: str) -> None:
    sender = f"Release-{delivery.sign('release', name, keep=True)}@app.test"
    delivery.reply(sender=sender, subject=f"Release {name}?", body="Answer this to release it.")


@route(r"release-(token)@app\.test", token=Signed("release", days=1, once=True))
@stateless
def RELEASED(message: MailRequest, delivery: Delivery, db: Session, token: str) -> None:
    post = delivery.pending
    assert post is not None
    db.add(Effect(queue_id=message.queue_id, recipient=post.recipient.address))
    delivery.reply(subject=f"Released {token}: {post.subject}", body=post.body)


@route(r"other-(token)@app\.test", token=Signed("other", days=1))
@stateless
def OTHER(message: MailRequest, delivery: Delivery, token: str) -> None:
    delivery.reply(subject=f"Other {token}", body="Something else.")
