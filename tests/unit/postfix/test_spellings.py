"""lamson.postfix.spellings: what Postfix takes for our domains is in the tables, too."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from lamson.postfix import spellings, tables
from lamson.routing.domains import Domains
from tests.unit.postfix.test_tables import needs_postmap

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.conftest import Collect

WRITTEN = [
    ("test.com", ["test.com", "te\u017ft.com", "te\ufb05.com", "te\ufb06.com"]),
    ("tekst.com", ["te\u212ast.com", "te\u212a\u017ft.com"]),
    ("strasse.example", ["stra\u00dfe.example", "stra\u1e9ee.example", "stra\u017fse.example"]),
    ("office.example", ["o\ufb03ce.example", "o\ufb00ice.example", "of\ufb01ce.example"]),
    ("b\u00fccher.example", ["B\u00dcCHER.example"]),
]


@pytest.mark.parametrize(("domain", "forms"), WRITTEN)
def test_all_that_postfix_folds_into_a_domain(domain: str, forms: list[str]) -> None:
    wanted = re.compile(spellings.as_written(domain), re.IGNORECASE)
    for form in (domain, *forms):
        assert form.casefold() == domain.casefold()
        assert wanted.fullmatch(form.encode()), form
    assert not wanted.fullmatch(b"other.example")


def test_a_name_of_many_ligatures_is_short_enough() -> None:
    assert len(spellings.as_written("ss" * 30 + ".example")) < 1000


SOURCE = r"""
@route("(?:users|leute)@(?:b\u00fccher|test)\\.example")
@route("both@(?:xn--bcher-kva|b\u00fccher)\\.example")
@route("a@xn--bcher-kva\\.example|b@plain\\.example")
@stateless
def LIST(message, **captures): ...
"""


@needs_postmap
@pytest.mark.parametrize("kind", ["regexp", "pcre"])
def test_the_tables_say_what_the_routes_say(collect: Collect, tmp_path: Path, kind: str) -> None:
    router = collect(SOURCE)
    made = tables.make(router, Domains(router.routes), "lmtp:inet:[127.0.0.1]:8823")
    paths = {path.name: path for path in tables.write(tmp_path, kind, made)}
    hosts = ("b\u00fccher.example", "xn--bcher-kva.example", "test.example", "plain.example")
    keys = [f"{user}@{host}" for user in ("users", "both", "a", "b") for host in hosts]
    found, _ = tables.query(f"{kind}:{paths['recipients']}", keys)
    assert set(found) == {key for key in keys if router.match(key)}
    domains, _ = tables.query(f"{kind}:{paths['domains']}", hosts)
    assert set(domains) == set(hosts)
    as_written = ["x@te\u017ft.example", "x@B\u00dcCHER.example", "x@PLAIN.example"]
    assert set(tables.query(f"{kind}:{paths['transport']}", as_written)[0]) == set(as_written)
