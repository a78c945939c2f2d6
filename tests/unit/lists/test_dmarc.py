"""lamson.lists.dmarc: what a domain asks for, and what is done where nobody answers."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import dns.exception
import dns.resolver
import pytest

from lamson.lists import Policies, UnansweredError
from lamson.lists.dmarc import ASKED_AT_ONCE, KNOWN_FOR, REMEMBERED, UNANSWERED_FOR, ask_dns
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Sequence


LONG = 60.0  # seconds: these answer


class Names:
    """A DNS that is asked; a name without records in it does not answer where it ``is_down``."""

    def __init__(self, **records: Sequence[str]) -> None:
        self.records = {name.replace("__", "."): found for name, found in records.items()}
        self.asked: list[str] = []
        self.is_down = False
        self.now = 0.0

    def __call__(self, name: str, timeout: float) -> Sequence[str]:
        self.asked.append(name)
        if self.is_down:
            raise UnansweredError("timeout")
        return self.records.get(name.removeprefix("_dmarc."), ())


@pytest.mark.parametrize(
    ("records", "domain", "refuses"),
    [
        ({"a__test": ["v=DMARC1; p=reject"]}, "A.TEST", True),
        ({"a__test": ["v=DMARC1;p = Quarantine ; pct=5"]}, "a.test", True),
        ({"a__test": ["v=DMARC1; p=none"]}, "a.test", False),
        ({"a__test": ["v=spf1 -all"]}, "a.test", False),
        ({"a__test": ["v=DMARC1; p=reject", "v=DMARC1; p=none"]}, "a.test", False),
        ({"a__co__uk": ["v=DMARC1; p=reject"]}, "x.y.a.co.uk", True),
        ({"a__co__uk": ["v=DMARC1; p=reject; sp=none"]}, "x.a.co.uk", False),
        ({"a__co__uk": ["v=DMARC1; p=none; sp=reject"]}, "x.a.co.uk", True),
        ({"co__uk": ["v=DMARC1; p=reject"]}, "a.co.uk", False),
        ({"x__a__co__uk": ["v=DMARC1; p=none"], "a__co__uk": ["v=DMARC1; p=reject"]},
         "x.a.co.uk", False),
        ({"xn--bcher-kva__test": ["v=DMARC1; p=reject"]}, "bücher.test", True),
        ({}, "[192.0.2.1]", True),
        ({}, "", True),
    ],
)  # fmt: skip
def test_a_policy(records: dict[str, list[str]], domain: str, refuses: bool) -> None:
    assert Policies(Names(**records), patience=LONG).refuses(domain) is refuses


def test_answers_are_remembered_and_silence_for_a_while() -> None:
    names = Names(a__test=["v=DMARC1; p=none"])
    policies = Policies(names, patience=LONG, clock=lambda: names.now)
    for _ in range(3):
        assert not policies.refuses("a.test")
    assert len(names.asked) == 1
    names.is_down, names.now = True, KNOWN_FOR + 1
    assert policies.refuses("a.test"), "assumed"
    names.is_down = False
    assert policies.refuses("a.test")
    names.now += UNANSWERED_FOR + 1
    assert not policies.refuses("a.test")
    for number in range(REMEMBERED + 10):
        policies.refuses(f"d{number}.test")
    assert len(policies._known) == REMEMBERED


def test_nobody_waits_for_a_dns_that_is_slow_and_the_answer_is_there_when_it_has_come() -> None:
    """The post stands in a transaction, and its author's DNS may be anybody's."""
    answers = threading.Event()
    asked: list[str] = []

    def slow(name: str, timeout: float) -> Sequence[str]:
        asked.append(name)
        answers.wait(LONG)
        return ["v=DMARC1; p=none"]

    policies = Policies(slow, patience=0.0)
    try:
        for number in range(3 * ASKED_AT_ONCE):
            assert policies.refuses(f"d{number}.test"), "assumed"
            assert policies.refuses(f"d{number}.test")
        wait_for(lambda: len(asked) == ASKED_AT_ONCE, "the questions")
        assert set(asked) == {f"_dmarc.d{number}.test" for number in range(ASKED_AT_ONCE)}
    finally:
        answers.set()
    wait_for(lambda: not policies.refuses("d0.test"), "the answer")


def test_a_resolver_that_fails_does_not_answer() -> None:
    def broken(name: str, timeout: float) -> Sequence[str]:
        raise RuntimeError("oops")

    assert Policies(broken, patience=LONG).refuses("a.test")


@pytest.mark.parametrize(
    ("error", "is_empty"),
    [
        (dns.resolver.NXDOMAIN, True),
        (dns.exception.Timeout, False),
        (dns.resolver.NoNameservers, False),
        (OSError, False),
    ],
)
def test_what_dnspython_says(
    error: type[Exception], is_empty: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolve(*given: object, **named: object) -> object:
        raise error()

    monkeypatch.setattr(dns.resolver, "resolve", resolve)
    if is_empty:
        assert ask_dns("_dmarc.a.test", 1.0) == ()
    else:
        with pytest.raises(UnansweredError):
            ask_dns("_dmarc.a.test", 1.0)
