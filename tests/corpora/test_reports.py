"""Bounces of many servers: whom they name, and whether that is for good.

The shares are floors, below what was measured; they are printed with ``-s``.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from tests.corpora.samples import corpus, request, samples_of

if TYPE_CHECKING:
    from pathlib import Path

NOT_BOUNCES = "maildir/not/"


def test_bounces_of_many_servers() -> None:
    paths = corpus("sisimai-set-of-emails")
    index = (paths[0].parents[1] / "INDEX.tsv").read_text()
    others = {line.split("\t")[0] for line in index.splitlines() if NOT_BOUNCES in line}
    paths = [path for path in paths if f"{path.parent.name}/{path.name}" not in others]
    _measure("sisimai", paths, named=0.95)


def test_bounces_that_flufl_bounce_brings() -> None:
    paths = samples_of("flufl.bounce", "tests/data", "testing/data")
    if paths:
        _measure("flufl.bounce", paths, named=0.9)


def _measure(name: str, paths: list[Path], *, named: float) -> None:
    found: Counter[str] = Counter()
    for path in paths:
        report = request(path).report
        if report is None:
            continue
        found["report"] += 1
        recipients = report.recipients
        found["named"] += bool(recipients) and all("@" in one.address for one in recipients)
        if report.kind in ("failed", "delayed"):
            found["failed or delayed"] += 1
            one = recipients[0] if recipients else None
            found["action"] += one is not None and one.action == report.kind
            found["class"] += bool(one and re.fullmatch(r"[45]\.\d+\.\d+", one.status))
            found["reason"] += one is not None and one.reason != "unknown"
            found["for good"] += one is not None and one.is_permanent
        else:
            found[report.kind] += 1
    print(f"\n{name}: of {len(paths)}:", *(f"{key} {found[key]}," for key in found))
    assert found["named"] / len(paths) >= named
    failures = found["failed or delayed"]
    assert found["action"] / failures >= named
    assert found["class"] / failures >= named
    assert found["reason"] / failures >= 0.85
