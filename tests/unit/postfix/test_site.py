"""lamson.postfix.site: what is read of it, and how few questions its tables are asked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from tests.unit.postfix.paper import Paper


class Asked:
    """Tables that say what they were asked."""

    def __init__(self, **tables: Mapping[str, str]) -> None:
        self.tables = tables
        self.questions: list[tuple[str, list[str], set[str]]] = []

    def answers(self, table: str, keys: Sequence[str], later: Iterable[str] = ()) -> dict[str, str]:
        self.questions.append((table, list(keys), set(later)))
        return {key: self.tables[table][key] for key in keys if key in self.tables[table]}

    def keys(self, table: str) -> set[str]:
        return set(self.tables[table])

    def expect(self, keys: object) -> None: ...

    def problem(self, table: str) -> str:
        return "" if table in self.tables else "not there"


def test_a_value_that_this_postfix_does_not_have(paper: Callable[..., Paper]) -> None:
    site = paper().site()
    assert (site.value("unheard_of"), site.get("unheard_of")) == (None, "")
    assert site.value("soft_bounce") == site.get("soft_bounce") == "no"


def test_a_service_has_its_own_value_or_that_of_main_cf(paper: Callable[..., Paper]) -> None:
    one = paper()
    one.run("-P", "lmtp/unix/lmtp_rcpt_timeout=5s", "lmtp/unix/lmtp_data_done_timeout=")
    site = one.site()
    lmtp = site.services["lmtp/unix"]
    assert site.effective(lmtp, "lmtp_rcpt_timeout") == "5s"
    assert site.effective(lmtp, "lmtp_data_done_timeout") == "", "set to nothing is set"
    assert site.effective(lmtp, "soft_bounce") == "no"
    assert site.effective(None, "lmtp_rcpt_timeout") == "300s"


def test_a_table_is_asked_about_all_our_domains_at_once(paper: Callable[..., Paper]) -> None:
    asked = Asked(t={"@app.test": "x"})
    site = replace(paper().site(), maps=asked)
    assert site.answers("t", "app.test", lambda domain: [f"@{domain}"]) == {"@app.test": "x"}
    assert site.answers("t", "lists.test", lambda domain: [f"@{domain}"]) == {}
    both = {"@app.test", "@lists.test"}
    assert asked.questions == [("t", ["@app.test"], both), ("t", ["@lists.test"], both)]


def test_an_address_is_looked_up_before_its_domain(paper: Callable[..., Paper]) -> None:
    asked = Asked(
        one={"app.test": "smtp:by-domain"}, two={"lamson-check@app.test": "smtp:by-address"}
    )
    site = replace(paper().site(), maps=asked)
    assert site.lookup(["one", "two"], "app.test") == "smtp:by-address"
    assert site.lookup(["one"], "app.test") == "smtp:by-domain"
    assert site.lookup(["two"], "lists.test") is None
