"""What a project can set: the vocabulary of ``config/settings.py``."""

from lamson.settings.answers import Answers
from lamson.settings.journal import Journal
from lamson.settings.lmtp import Lmtp
from lamson.settings.mail_threads import MailThreads
from lamson.settings.milter import Milter
from lamson.settings.model import Settings
from lamson.settings.postfix import Postfix
from lamson.settings.signing import Signing
from lamson.settings.socketmap import Socketmap
from lamson.settings.spam import Spam
from lamson.settings.status import Status
from lamson.settings.submission import Submission
from lamson.settings.web import Web

__all__ = [
    "Answers",
    "Journal",
    "Lmtp",
    "MailThreads",
    "Milter",
    "Postfix",
    "Settings",
    "Signing",
    "Socketmap",
    "Spam",
    "Status",
    "Submission",
    "Web",
]
