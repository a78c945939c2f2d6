"""Who tells an application what is spam, where it asks, and where that is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson.delivery.spam.box import SpamBox
from lamson.delivery.spam.panel import Panel, judge_of
from lamson.storage.maildir import Maildir

if TYPE_CHECKING:
    from lamson.settings.model import Settings


def spam_box_of(settings: Settings) -> SpamBox:
    """Where it is kept."""
    queue = Maildir(settings.run_dir / "spam", quota=settings.spam.max_kept)
    return SpamBox(queue, days=settings.spam.days)


def panel_of(settings: Settings) -> Panel:
    """Who judges."""
    wanted = settings.spam
    judges = [judge_of(one, max_size=wanted.max_size) for one in wanted.judges]
    return Panel(judges, timeout=wanted.timeout)
