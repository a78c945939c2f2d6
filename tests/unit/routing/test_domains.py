"""lamson.routing.domains: which domains the routes reach."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lamson.errors import RouteError
from lamson.routing.domains import Domains

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.conftest import Collect

    DomainsOf = Callable[..., Domains]


@pytest.fixture
def domains_of(collect: Collect) -> DomainsOf:
    """The Domains of routes with these formats."""

    def make(*formats: str, declared: tuple[str, ...] = (), engine: str = "re2") -> Domains:
        source = "".join(
            f"@route({format!r}, engine={engine!r})\n@stateless\n"
            f"def H{number}(message, **captures): ...\n"
            for number, format in enumerate(formats)
        )
        return Domains(collect(source).routes, declared)

    return make


@pytest.mark.parametrize(
    ("format", "listed"),
    [
        ("(user)@(host)", {"localhost", "test.com"}),
        (r"a@x\.test|b@y\.test", {"x.test", "y.test"}),
        (r".+@(?:mx[12]\.)?x\.test", {"x.test", "mx1.x.test", "mx2.x.test"}),
        (r"(user)@A[bB]\.Test", {"ab.test"}),
        (r"(?:\"a@b\"|c)@x\.test", {"x.test"}),
        (r"x@\[192\.0\.2\.1\]", {"[192.0.2.1]"}),
        (r"x@b\xfc\.test", {"bü.test", "xn--b-eha.test"}),
        (r"x@XN--B-EHA\.test", {"bü.test", "xn--b-eha.test"}),
    ],
)
def test_domains_that_can_be_listed(domains_of: DomainsOf, format: str, listed: set[str]) -> None:
    domains = domains_of(format)
    assert domains.listed == listed
    assert domains.complete() == tuple(sorted(listed))
    assert domains.unlisted == ()
    assert all(map(domains.holds, listed))
    assert domains.holds(min(listed).upper())
    assert not domains.holds("elsewhere.example")


@pytest.mark.parametrize(
    ("format", "held", "foreign"),
    [
        (r"(user)@[a-z]+\.test\.com", "lists.test.com", "test.com"),
        (r"(user)@(?:[a-z]+\.)*test\.com", "a.b.test.com", "a.b.test.org"),
        (r"(user)(?:@x\.[a-z]+|@y\.test)", "x.org", "y.org"),
        (r"(user)@[a-z]{2,3}\.test", "abc.test", "abcd.test"),
        ("(user)@test.com", "testacom", "test.org"),
    ],
)
def test_domains_that_can_be_recognised(
    domains_of: DomainsOf, format: str, held: str, foreign: str
) -> None:
    domains = domains_of(format)
    assert domains.listed == set()
    assert domains.holds(held)
    assert not domains.holds(foreign)
    with pytest.raises(RouteError, match="no finite list"):
        domains.complete()
    assert domains.for_anybody == ()


ANYBODY = [
    *(".+", "(user)@.+", "[^@]+@[^@]+", r"(user)@(?:[^.]+\.)+[^.]+"),
    *("(user)@[a-z.]+", r"(user)@\w+\.\w+", r"(user)@[a-z]{2,20}\.[a-z]{2,3}"),
]


@pytest.mark.parametrize("format", ANYBODY)
def test_a_route_for_any_domain_makes_none_ours(domains_of: DomainsOf, format: str) -> None:
    domains = domains_of(format, "(user)@(host)")
    assert not domains.holds("gmail.com")
    assert domains.holds("test.com")
    assert [route.format for route in domains.for_anybody] == [format]


def test_a_pattern_that_cannot_be_understood_makes_none_ours(domains_of: DomainsOf) -> None:
    domains = domains_of(r"a(?=@)@x\.test", engine="re")
    assert not domains.holds("x.test")
    with pytest.raises(RouteError, match=r"one\.py:2: the domains of .* no finite list"):
        domains.complete()


def test_the_declared_domains_are_all_there_are(domains_of: DomainsOf) -> None:
    domains = domains_of(r"(user)@[a-z]+\.test", "(user)@(host)", declared=("Lists.Test",))
    assert domains.complete() == ("lists.test", "localhost", "test.com")
    assert not domains.holds("other.test")


def test_an_unescaped_dot_is_told(domains_of: DomainsOf) -> None:
    with pytest.raises(RouteError, match=r"a dot is written \\\."):
        domains_of("(user)@test.com").complete()


def test_many_routes_share_their_domains(collect: Collect) -> None:
    source = "@stateless\ndef H(message, **captures): ...\n"
    formats = "".join(f"@route('list{n}-(user)@(host)')\n" for n in range(2000))
    domains = Domains(collect(formats + source).routes)
    assert domains.listed == {"localhost", "test.com"}


@pytest.mark.parametrize("host", [r"bücher\.test", "bu\u0308cher\\.test", r"xn--bcher-kva\.test"])
def test_all_spellings_of_a_domain_are_ours(domains_of: DomainsOf, host: str) -> None:
    for domains in (
        domains_of(f"(?:x)@{host}"),
        domains_of("(user)@(?:[a-z]+)", declared=(host.replace("\\", ""),)),
    ):
        for domain in ("bücher.test", "BÜCHER.test", "bu\u0308cher.TEST", "xn--bcher-kva.test"):
            assert domains.holds(domain), domain
        assert not domains.holds("bucher.test")


def test_a_domain_that_can_only_be_recognised_is_so_in_both_spellings(
    domains_of: DomainsOf,
) -> None:
    domains = domains_of(r"(?:x)@[a-zü]{2,20}\.test")
    assert domains.holds("xn--bcher-kva.test")
    assert domains.holds("te\u017ft.test")
    assert not domains.holds("xn--bcher-kvb.test")
