"""lamson.postfix.match_list: which item of a list decides."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from lamson.postfix import match_list

if TYPE_CHECKING:
    from pathlib import Path

    from lamson.postfix.postconf import Postconf


class Configured:
    """All that is asked of postconf."""

    def value(self, name: str) -> str:
        assert name == "parent_domain_matches_subdomains"
        return ""


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
def test_a_file_of_domains_may_be_negated(tmp_path: Path, value: str, expected: str | None) -> None:
    """postconf(5): ``!/file/name`` is supported since Postfix 2.4."""
    for name, content in (("FILE", "ours.example"), ("NEGATED", "!ours.example")):
        (tmp_path / name).write_text(f"# ours\n{content}  # and no other\n")
        value = value.replace(name, str(tmp_path / name))
        expected = expected and expected.replace(name, str(tmp_path / name))
    postconf = cast("Postconf", Configured())
    assert match_list.deciding(postconf, "relay_domains", value, "Ours.example") == expected
