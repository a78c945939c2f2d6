"""lamson.postfix.match_list: which item of a list decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lamson.postfix import match_list

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.postfix.paper import Paper


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("FILE", "FILE"),
        ("!FILE", "!FILE"),
        ("!FILE, ours.example", "!FILE"),  # the first one decides
        ("ours.example, !FILE", "ours.example"),
        ("!NEGATED", "NEGATED"),
        ("NEGATED", "!NEGATED"),
        ("!other.example, other.example", None),
    ],
)
def test_a_file_of_domains_may_be_negated(
    paper: Callable[..., Paper], tmp_path: Path, value: str, expected: str | None
) -> None:
    """postconf(5): ``!/file/name`` is supported since Postfix 2.4."""
    for name, content in (("FILE", "ours.example"), ("NEGATED", "!ours.example")):
        (tmp_path / name).write_text(f"# ours\n{content}  # and no other\n")
        value = value.replace(name, str(tmp_path / name))
        expected = expected and expected.replace(name, str(tmp_path / name))
    site = paper().site()
    assert match_list.deciding(site, "relay_domains", value, "Ours.example") == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("other.test, APP.test", "APP.test"),
        ("test, myapp.test", None),
        ("!app.test, app.test", "!app.test"),
        (".test", ".test"),
        ("/nowhere, app.test", "app.test"),
    ],
)
def test_what_decides_about_a_domain(
    paper: Callable[..., Paper], value: str, expected: str | None
) -> None:
    assert match_list.deciding(paper().site(), "mydestination", value, "App.test") == expected


def test_parents_count_where_postfix_is_told_so(paper: Callable[..., Paper]) -> None:
    one = paper()
    for parents, decided in (("relay_domains", "test"), ("", None)):
        one.run("-e", f"parent_domain_matches_subdomains={parents}")
        found = match_list.deciding(one.site(), "relay_domains", "test", "app.test")
        assert found == decided
