"""lamson.delivery.traffic"""

import time

from lamson.delivery.job import Job
from lamson.delivery.traffic import Traffic
from tests.unit.support import make_message


def test_it_is_busy_while_a_delivery_has_no_reply_and_a_moment_after_one_came() -> None:
    traffic = Traffic()
    job = Job(make_message(), [], None)
    assert not traffic.is_busy(1.0)
    traffic.pending.add(job)
    assert traffic.is_busy(0.0)
    traffic.pending.remove(job)
    traffic.came_at = time.monotonic()
    assert traffic.is_busy(60.0)
    assert not traffic.is_busy(0.0)
