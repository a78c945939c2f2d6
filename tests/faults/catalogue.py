"""All faults, in the order of the table in docs/delivery.md."""

from __future__ import annotations

from tests.faults import commits, cuts, kills, postgres_faults, storage, submissions

FAULTS = [
    *kills.FAULTS,
    *cuts.FAULTS,
    *postgres_faults.FAULTS,
    *storage.FAULTS,
    *commits.FAULTS,
    *submissions.FAULTS,
]
