"""Faults between Postfix and Lamson: cut connections, slow handlers, messages queued anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.faults.fault import Fault
from tests.faults.proxy import AfterFinalDot, BetweenReplies
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.proxy import Rule
    from tests.faults.rig import Rig

TIMEOUT = 1  # seconds that Postfix waits for a reply, where handlers are to be slower


def _through(make_rule: Callable[[], Rule]) -> Callable[[Rig], None]:
    def prepare(rig: Rig) -> None:
        rig.lmtp_rule = make_rule()

    return prepare


def _cut(rig: Rig) -> None:
    rule = rig.lmtp_rule
    assert rule is not None
    before = rule.struck
    rule.arm()
    wait_for(lambda: rule.struck > before, "a connection to be cut", timeout=rig.patience)


def _impatient(rig: Rig) -> None:
    rig.main["lmtp_data_done_timeout"] = f"{TIMEOUT}s"
    tokens = rig.project.parent / "slow"
    tokens.mkdir()
    rig.environment["FAULTS_SLOW"] = str(tokens)
    rig.environment["FAULTS_SLOW_SECONDS"] = str(TIMEOUT * 2.0)


def _be_slow(rig: Rig) -> None:
    token = rig.project.parent / "slow" / "one"
    before = len(rig.postfix.log_lines("timed out while"))
    token.touch()
    wait_for(lambda: not token.exists(), "a handler to be slow", timeout=rig.patience)
    rig.postfix.wait_log("timed out while", count=before + 1)


def _requeue(rig: Rig) -> None:
    _cut(rig)
    rig.postfix.run("postsuper", "-r", "ALL")


FAULTS = [
    Fault(
        name="cut-after-dot",
        title="connection cut after the final dot",
        prepare=_through(AfterFinalDot),
        inject=_cut,
        nodes=2,
    ),
    Fault(
        name="cut-between-replies",
        title="connection cut after the first of three replies",
        prepare=_through(BetweenReplies),
        inject=_cut,
        nodes=2,
    ),
    Fault(
        name="slow-handler",
        title="handler slower than `lmtp_data_done_timeout`",
        prepare=_impatient,
        inject=_be_slow,
    ),
    Fault(
        name="requeued",
        title="connection cut after the final dot, then `postsuper -r ALL`",
        prepare=_through(AfterFinalDot),
        inject=_requeue,
        nodes=2,
    ),
]
