"""Mailing lists: post, subscribe, leave, moderate, count bounces, send digests.

These names are public. An application has a handler module with a few routes that call a
`MailingList`; see docs/how-to/lists.md.
"""

from lamson.lists.archive import ArchivedPost
from lamson.lists.bounces import list_of
from lamson.lists.commands import COMMANDS
from lamson.lists.dmarc import Policies, Resolver, UnansweredError
from lamson.lists.mailing_list import MailingList
from lamson.lists.members import Member, known_lists, memberships
from lamson.lists.moderation import HeldPost
from lamson.lists.one_click import OneClick
from lamson.lists.tokens import TOKEN

__all__ = [
    "COMMANDS",
    "TOKEN",
    "ArchivedPost",
    "HeldPost",
    "MailingList",
    "Member",
    "OneClick",
    "Policies",
    "Resolver",
    "UnansweredError",
    "known_lists",
    "list_of",
    "memberships",
]
