"""What an application does by time: timeouts, schedules, and work after a commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson.delivery import fanout, later, schedules, timers
from lamson.delivery.errands import Errands
from lamson.delivery.later import Background
from lamson.delivery.runner import Runner
from lamson.delivery.schedules import Schedules
from lamson.delivery.timers import Timers
from lamson.storage import suppressed

if TYPE_CHECKING:
    from collections.abc import Callable

    from lamson.delivery.errand import MakeMailer
    from lamson.delivery.outcomes import Outcomes
    from lamson.delivery.runner import Hands
    from lamson.delivery.transaction import Transactions
    from lamson.routing.router import Router
    from lamson.storage.database import Database


class Clockwork:
    """That of ``router``; ``clock`` gives seconds since the epoch. False where there is none."""

    def __init__(self, router: Router, *, clock: Callable[[], float]) -> None:
        self.timers = Timers(router)
        self.schedules = Schedules(router)
        self._background = Background(router)
        self._clock = clock

    def __bool__(self) -> bool:
        return bool(self.timers or self.schedules or self._background)

    def errands(
        self,
        database: Database,
        transactions: Transactions,
        make_mailer: MakeMailer,
        outcomes: Outcomes,
        *,
        deadline: float,
        on_failure: Callable[[BaseException], None],
    ) -> Errands:
        """Who does its tasks, and those that tell ``outcomes``; the rest is as of `Errands`."""
        made = Errands(
            database,
            transactions,
            make_mailer,
            clock=self._clock,
            deadline=deadline,
            on_failure=on_failure,
        )
        made.register(timers.KIND, self.timers.perform, locks=self.timers.locks, shares=True)
        made.register(schedules.KIND, self.schedules.perform, failed=self.schedules.failed)
        made.register_outside(later.KIND, self._background.perform)
        made.register(suppressed.TASK, outcomes.perform)
        made.register(fanout.KIND, fanout.perform)
        return made

    def runner(
        self, database: Database, errands: Errands, hands: Hands, *, limit: int, together: float
    ) -> Runner:
        """Who has ``errands`` done when they are due; the rest is as of `Runner`."""
        return Runner(
            database,
            errands,
            hands,
            limit=limit,
            together=together,
            clock=self._clock,
            prepare=lambda connection: self.schedules.take_up(connection, self._clock()),
            mend=self.schedules.mend,
        )
