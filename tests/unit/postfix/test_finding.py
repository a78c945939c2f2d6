"""lamson.postfix.finding: what is said to people, and to programs."""

from __future__ import annotations

from lamson.postfix.finding import Finding, Remark, Untried, as_values


def test_each_kind_has_the_same_keys_and_says_which_it_is() -> None:
    seen: list[Finding | Untried | Remark] = [
        Finding("a", "b", "c", "d"),
        Untried("e", "whether f", "g"),
        Remark("h", "i"),
    ]
    assert as_values(seen) == [
        {"code": "a", "problem": "b", "why": "c", "fix": "d", "kind": "wrong"},
        {"code": "e", "problem": "whether f", "why": "g", "fix": "", "kind": "untried"},
        {"code": "h", "problem": "i", "why": "", "fix": "", "kind": "remark"},
    ]
    assert [str(one) for one in seen] == [
        "a: b; c. Mend it: d",
        "whether f could not be tried from here: g",
        "i",
    ]
