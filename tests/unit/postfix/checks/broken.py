"""What tests of several checks do: break one thing, have it named, and do what the doctor says."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.unit.postfix.paper import Paper


def is_named_and_mended(one: Paper, code: str, *broken: Iterable[str]) -> None:
    """Commands of postconf that break it; the doctor says ``code``, and its cures mend it all."""
    assert one.findings() == []
    for command in broken:
        one.run(*command)
    findings = one.findings()
    assert code in [finding.code for finding in findings], findings
    for finding in findings:
        assert str(finding).count("\n") == 0
        one.cure(finding)
    assert one.findings() == []
