"""The settings of the threads that mail belongs to."""

from __future__ import annotations

from pydantic import Field

from lamson.settings.values import Group


class MailThreads(Group):
    """The threads that mail belongs to (see `lamson.Thread`); not those that handlers run on."""

    keep_days: float = Field(
        default=365.0,
        gt=0,
        le=36525,
        description="Days without mail after which a thread is forgotten: its participants, its "
        "state, and the ids of what was sent. What was said in it is forgotten that many days "
        "later, and a reply address counts as long.",
    )
