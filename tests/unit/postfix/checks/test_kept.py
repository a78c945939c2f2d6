"""What a mending command must leave as it was: it mends one thing, for all who use this Postfix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.postfix.paper import WORLD

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.postfix.paper import Paper


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("mynetworks", "10.1.0.0/16, 0.0.0.0/0 [::1]/128", "10.1.0.0/16, [::1]/128"),
        ("mynetworks", "0.0.0.0/0", "127.0.0.0/8, [::1]/128"),
        ("mydestination", "$myhostname, app.test, localhost", "$myhostname, localhost"),
        ("mydestination", "$myhostname, $mydomain, localhost", "$myhostname, localhost"),
    ],
)
def test_one_item_is_taken_out(
    paper: Callable[..., Paper], name: str, before: str, after: str
) -> None:
    one = paper()
    one.run("-e", f"{name}={before}", *(["mydomain=app.test"] if "mydomain" in before else []))
    (finding,) = one.findings()
    one.cure(finding)
    assert one.main[name] == after
    assert one.findings() == []


def test_a_macro_for_several_is_left_to_a_person(paper: Callable[..., Paper]) -> None:
    one = paper()
    one.run("-e", "mydestination=$virtual_maps", "virtual_maps=app.test localhost")
    found = {finding.code: finding.fix for finding in one.findings()}
    assert found["mydestination-has-ours"].startswith("by hand")


def test_recipients_that_smtpd_is_told_not_to_look_up(paper: Callable[..., Paper]) -> None:
    one, key = paper(), f"{WORLD}/inet"
    options = "receive_override_options=no_address_mappings,no_unknown_recipient_checks"
    one.run("-P", f"{key}/{options}")
    (finding,) = one.findings()
    one.cure(finding)
    assert one.master[key][1]["receive_override_options"] == "no_address_mappings"
    assert one.findings() == []
