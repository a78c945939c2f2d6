"""Faults while it is told what became of mail: every reply is tracked, and Postfix reports each.

What is told is a step of the author's too, so that the count sees one that is lost, or taken twice.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lamson import failpoint
from tests.faults.fault import EARLY_REPLY, TOLD_AGAIN
from tests.faults.kills import killed_at

if TYPE_CHECKING:
    from tests.faults.fault import Fault
    from tests.faults.rig import Rig


def _tracked(fault: Fault) -> Fault:
    def prepare(rig: Rig) -> None:
        fault.prepare(rig)
        rig.is_tracked = True
        rig.environment["FAULTS_TRACK"] = "1"
        rig.environment["LAMSON_SUBMISSION__NOTIFY"] = "SUCCESS,FAILURE"
        # A report may come to another node than that which sent the mail.
        rig.environment["LAMSON_SIGNING__SECRET"] = "one-key-for-all-nodes"

    return replace(
        fault,
        name=f"tracked-{fault.name}",
        title=f"{fault.title}, where each reply is tracked and reported on",
        prepare=prepare,
    )


FAULTS = [
    _tracked(
        killed_at(
            failpoint.AFTER_HANDLER,
            "after the handler, or after it was told",
            EARLY_REPLY,
            "nothing was committed when it strikes",
        )
    ),
    _tracked(killed_at(failpoint.AFTER_COMMIT, "after COMMIT")),
    # The reply leaves twice, and so do the reports.
    _tracked(
        killed_at(
            failpoint.AFTER_SUBMISSION,
            "after submission's 250, before the row is deleted",
            TOLD_AGAIN,
        )
    ),
]
