"""What tests of several checks do where a person has to mend it: break one thing, have it named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.unit.postfix.paper import WORLD

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.unit.postfix.paper import Paper

OWN = "127.0.0.1:10587/inet"
WORLDS = f"{WORLD}/inet"


def is_named(one: Paper, code: str, *broken: Iterable[str]) -> None:
    """The doctor says ``code`` and nothing else, and what it offers as a command mends it."""
    assert one.findings() == []
    for command in broken:
        one.run(*command)
    found = one.findings()
    assert {finding.code for finding in found} == {code}, found
    for finding in found:
        assert str(finding).count("\n") == 0
        assert finding.fix.startswith(("by hand: ", "postconf "))
        if finding.fix.startswith("postconf "):
            one.cure(finding)
    if not any(finding.fix.startswith("by hand") for finding in found):
        assert one.findings() == []
