"""lamson.postfix.checks.domains: Postfix can be told of ours, and takes them for nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.postfix.checks.broken import is_named_and_mended
from tests.unit.postfix.paper import ROUTE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.postfix.paper import Paper


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mydestination", "app.test, localhost"),
        ("virtual_mailbox_domains", "lists.test"),
        ("virtual_alias_domains", "LISTS.test"),
    ],
)
def test_a_domain_of_ours_is_of_another_class(
    paper: Callable[..., Paper], name: str, value: str
) -> None:
    is_named_and_mended(paper(), f"{name}-has-ours", ["-e", f"{name}={value}"])


def test_a_domain_that_a_list_leaves_out_is_not_in_it(paper: Callable[..., Paper]) -> None:
    one = paper()
    one.run("-e", "mydestination=!app.test, app.test")
    assert one.codes() == []


def test_the_domains_of_virtual_alias_maps_by_default(paper: Callable[..., Paper]) -> None:
    one = paper()
    one.run("-e", "virtual_alias_maps=inline:{app.test=anything}")
    assert one.codes() == ["virtual_alias_domains-has-ours"]


def test_where_a_table_brings_it_the_table_is_edited(paper: Callable[..., Paper]) -> None:
    one = paper()
    one.tables["hash:/etc/postfix/mine"] = {"app.test": "x"}
    one.run("-e", "mydestination=localhost, hash:/etc/postfix/mine")
    (finding,) = one.findings()
    assert "app.test is in hash:/etc/postfix/mine of mydestination" in finding.problem
    assert finding.fix.startswith(r"sed -i -E ':a;/^app\.test([[:space:]]|$)/I{")
    assert finding.fix.endswith(
        "' /etc/postfix/mine && postmap hash:/etc/postfix/mine && postfix reload"
    )


@pytest.mark.parametrize(
    ("value", "tables"),
    [
        ("regexp:/etc/postfix/mine", {"app.test": "x"}),
        ("mysql:/etc/postfix/mine", {"app.test": "x"}),
        ("hash:/etc/postfix/mine", {".test": "x"}),
        (".test", {}),
        ("inline:{app.test=x, other.test=x}", {}),
    ],
)
def test_what_brings_others_as_well_is_not_taken_out_by_a_command(
    paper: Callable[..., Paper], value: str, tables: dict[str, str]
) -> None:
    """Their mail would be lost to 554 or a bounce."""
    one = paper()
    one.tables[value] = tables
    one.run("-e", f"virtual_mailbox_domains={value}")
    found = one.findings()
    assert {finding.code for finding in found} == {"virtual_mailbox_domains-has-ours"}
    assert all(finding.fix.startswith("by hand: ") for finding in found)


def test_routes_whose_domains_postfix_cannot_be_told(paper: Callable[..., Paper]) -> None:
    one = paper()
    one.has_routes(ROUTE, ".+")
    (finding,) = one.findings()
    assert finding.code == "route-for-any-domain"
    assert "'.+' takes mail for any domain" in finding.problem
    one.has_routes(ROUTE, r".+@[a-z]+\.test")
    assert one.codes() == ["domains-without-end"]
    one.has_routes(ROUTE, r".+@[a-z]+\.test", domains=["app.test", "lists.test"])
    assert one.codes() == []
