"""500 messages, 50 at once, while milter workers are killed: none lost, none judged wrongly."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.postfix.milter import MilterService, talk
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.postfix.instance import PostfixInstance
    from tests.postfix.sink import Sink

pytest.importorskip("milter", reason="pymilter is not installed (pip install '.[milter]')")

pytestmark = [pytest.mark.postfix, pytest.mark.slow]

FILTERS = """
@filter_message("(user)@(host)")
def judge(message: FilteredMail, user: str, host: str) -> Verdict:
    message.add_header("X-Judged", f"{user} {len(message.body)}")
    return Reject("5.7.1", "as the test wants it") if user == "bad" else None
"""
MESSAGES, AT_ONCE, KILLS = 500, 50, 4


def milter_workers(service: MilterService) -> list[int]:
    """The workers that have libmilter."""
    children = Path(f"/proc/{service.pid}/task/{service.pid}/children").read_text().split()
    found = []
    for pid in children:
        try:
            if "libmilter" in Path(f"/proc/{pid}/maps").read_text():
                found.append(int(pid))
        except OSError:  # it has just ended
            continue
    return found


def test_workers_killed_under_load(
    make_postfix: Callable[..., PostfixInstance], sink: Sink
) -> None:
    service = MilterService(FILTERS, 'socket_group="postfix", workers=2')
    try:
        service.start()
        postfix = make_postfix(
            routes={"test.com": f"smtp:[127.0.0.1]:{sink.port}"},
            incoming={"smtpd_milters": f"unix:{service.socket}"},
            main={"default_process_limit": "200", "smtpd_client_connection_rate_limit": "0"},
        )
        wait_for(lambda: len(milter_workers(service)) == 2, "two workers")
        retries: Counter[int] = Counter()
        finished = threading.Semaphore(0)

        def send(number: int) -> str:
            user = "bad" if number % 5 == 0 else "good"
            content = b"Subject: %d\r\n\r\nHi there.\r\n" % number
            while True:
                seen = talk(postfix.smtp_port, "z@sender.test", f"{user}@test.com", content=content)
                code = seen.replies[-1][1]
                if code < 400 or code >= 500:
                    finished.release()
                    return f"{user} {seen.refusal or code}"
                retries[number] += 1

        def kill() -> None:
            for _ in range(KILLS):
                for _ in range(MESSAGES // (KILLS + 1)):
                    finished.acquire()
                victim = wait_for(lambda: milter_workers(service), "a worker to kill")[0]
                os.kill(victim, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            verdicts = Counter(pool.map(send, range(MESSAGES)))
        killer.join(60)
        assert verdicts == {"bad DATA: 550 5.7.1": MESSAGES // 5, "good 250": MESSAGES * 4 // 5}
        assert len(service.log_lines("ended with signal 9; replacing it")) == KILLS
        arrived = sink.wait(MESSAGES * 4 // 5, timeout=60)
        assert {message.message["X-Judged"] for message in arrived} == {"good 10"}
        # A client that saw no answer sends again: what Postfix had queued by then arrives twice.
        subjects = Counter(message.message["Subject"] for message in arrived)
        assert len(subjects) == MESSAGES * 4 // 5
        print(f"{sum(retries.values())} attempts were deferred")
    finally:
        print("\n".join(service.log_lines()[-50:]))
        service.remove()
