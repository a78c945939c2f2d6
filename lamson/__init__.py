"""Write e-mail applications the way you write web applications, behind Postfix.

These names are the public interface, with those of `lamson.settings`, `lamson.routing`,
`lamson.testing`, `lamson.results`, `lamson.lists`, `lamson.containers` and `lamson_milter`; every
other module may change. They load when they are first used, so that a command which needs none of
them starts at once. An application raises `SMTPError` and may meet the other errors, which are
`LamsonError`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lamson.delivery.context import Delivery
    from lamson.delivery.later import Attempt
    from lamson.delivery.outcomes import Outcome, SentMail
    from lamson.delivery.thread import Thread, per_thread
    from lamson.delivery.timers import Expired
    from lamson.errors import LamsonError, PurposeError, SenderError
    from lamson.mailer import Mailer
    from lamson.message.attachment import Attachment
    from lamson.message.fragments import Fragment
    from lamson.message.mailboxes import Mailbox
    from lamson.message.message import Message
    from lamson.message.report import Report, ReportedRecipient
    from lamson.message.request import MailRequest
    from lamson.message.response import MailResponse
    from lamson.routing.decorators import (
        State,
        action,
        outcome,
        route,
        route_like,
        spam_filter,
        state_key_generator,
        stateless,
    )
    from lamson.routing.signing import Signed
    from lamson.routing.timely import background, every, timeout
    from lamson.smtp.envelope import Peer
    from lamson.smtp.reply import SMTPError
    from lamson.storage.keys import Key

__all__ = [
    "Attachment",
    "Attempt",
    "Delivery",
    "Expired",
    "Fragment",
    "Key",
    "LamsonError",
    "MailRequest",
    "MailResponse",
    "Mailbox",
    "Mailer",
    "Message",
    "Outcome",
    "Peer",
    "PurposeError",
    "Report",
    "ReportedRecipient",
    "SMTPError",
    "SenderError",
    "SentMail",
    "Signed",
    "State",
    "Thread",
    "action",
    "background",
    "every",
    "outcome",
    "per_thread",
    "route",
    "route_like",
    "spam_filter",
    "state_key_generator",
    "stateless",
    "timeout",
]

_HOME = {
    "Attachment": "lamson.message.attachment",
    "Attempt": "lamson.delivery.later",
    "Delivery": "lamson.delivery.context",
    "Expired": "lamson.delivery.timers",
    "Fragment": "lamson.message.fragments",
    "Key": "lamson.storage.keys",
    "LamsonError": "lamson.errors",
    "MailRequest": "lamson.message.request",
    "MailResponse": "lamson.message.response",
    "Mailbox": "lamson.message.mailboxes",
    "Mailer": "lamson.mailer",
    "Message": "lamson.message.message",
    "Outcome": "lamson.delivery.outcomes",
    "Peer": "lamson.smtp.envelope",
    "PurposeError": "lamson.errors",
    "Report": "lamson.message.report",
    "ReportedRecipient": "lamson.message.report",
    "SMTPError": "lamson.smtp.reply",
    "SenderError": "lamson.errors",
    "SentMail": "lamson.delivery.outcomes",
    "Signed": "lamson.routing.signing",
    "State": "lamson.routing.decorators",
    "outcome": "lamson.routing.decorators",
    "Thread": "lamson.delivery.thread",
    "per_thread": "lamson.delivery.thread",
    "action": "lamson.routing.decorators",
    "route": "lamson.routing.decorators",
    "route_like": "lamson.routing.decorators",
    "spam_filter": "lamson.routing.decorators",
    "state_key_generator": "lamson.routing.decorators",
    "stateless": "lamson.routing.decorators",
    "background": "lamson.routing.timely",
    "every": "lamson.routing.timely",
    "timeout": "lamson.routing.timely",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'lamson' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
