"""All faults, in the order of the table in docs/delivery.md."""

from __future__ import annotations

from tests.faults import (
    clicks,
    commits,
    cuts,
    elsewhere,
    forgeries,
    kills,
    outcomes,
    postgres_faults,
    stops,
    storage,
    submissions,
)

FAULTS = [
    *kills.FAULTS,
    *stops.FAULTS,
    *cuts.FAULTS,
    *forgeries.FAULTS,
    *clicks.FAULTS,
    *postgres_faults.FAULTS,
    *storage.FAULTS,
    *commits.FAULTS,
    *submissions.FAULTS,
    *outcomes.FAULTS,
    *elsewhere.FAULTS,
]
