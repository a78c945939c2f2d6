"""The settings of automatic answers."""

from __future__ import annotations

from pydantic import Field

from lamson.settings.values import Group


class Answers(Group):
    """What `delivery.reply()` sends at most, in all processes and nodes together."""

    per_mailbox: int = Field(
        default=30,
        ge=1,
        description="Answers to one mailbox in an hour, whatever its +detail; further ones are not "
        "sent.",
    )
    per_domain: int = Field(
        default=10_000,
        ge=1,
        description="Answers to one organisation's domain in an hour, whatever the mailbox. Who is "
        "proven to write (see `authserv_id`) always gets his, and is not counted here.",
    )
