"""lamson.postfix.wanted: what main.cf has to say for a project, and what is as good."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lamson.errors import RouteError
from lamson.postfix import wanted
from lamson.settings import Lmtp, Milter
from tests.unit.postfix.paper import project

if TYPE_CHECKING:
    from collections.abc import Callable

    from lamson.postfix.want import Want
    from tests.unit.postfix.paper import Paper


def wants(one: Paper) -> dict[str, Want]:
    return {want.name: want for want in wanted.of_main(one.site())}


def test_where_mail_for_our_domains_goes(paper: Callable[..., Paper]) -> None:
    found = wants(paper())
    assert found["relay_domains"].value == "app.test, lists.test"
    transport = found["transport_maps"]
    hop = "lamson:inet:[127.0.0.1]:8823"
    assert transport.value == f"inline:{{app.test={hop} lists.test={hop}}}"
    assert transport.answers == (("app.test", hop), ("lists.test", hop))
    assert transport.otherwise == "relay_transport"


def test_domains_that_cannot_be_listed(paper: Callable[..., Paper]) -> None:
    one = paper()
    one.has_routes(r".+@[a-z]+\.test")
    with pytest.raises(RouteError):
        wants(one)


def test_a_milter_is_wanted_where_there_are_filters(paper: Callable[..., Paper]) -> None:
    assert "smtpd_milters" not in wants(paper())
    found = wants(paper(project(milter=Milter("127.0.0.1:8825", check_recipients=True))))
    rewrite = found["smtpd_milters"].rewrite
    assert rewrite
    assert rewrite([]).items == ["{ inet:127.0.0.1:8825, default_action=tempfail }"]
    own = "{ inet:127.0.0.1:8825, connect_timeout=5s, default_action=%s }"
    for action in ("tempfail", "shutdown"):
        assert rewrite(["inet:x:1", own % action]).items == ["inet:x:1", own % action]
    for action in ("accept", "reject", "quarantine", ""):
        assert rewrite([own % action, "inet:x:1"]).items == [own % "tempfail", "inet:x:1"]


@pytest.mark.parametrize("name", ["relay_domains", "transport_maps", "enable_long_queue_ids"])
def test_every_want_says_why(paper: Callable[..., Paper], name: str) -> None:
    assert wants(paper())[name].why


def as_wanted(want: Want, *values: str) -> list[str]:
    return [value for value in values if want.is_met_by(value)]


def test_a_message_may_grow_on_its_way() -> None:
    want = wanted.size(project(lmtp=Lmtp(max_size=1000)))
    assert want.value == "990"
    assert as_wanted(want, "0", "1", "990", "991", "", "1M", "-5") == ["1", "990"]
    assert wanted.size(project(lmtp=Lmtp(max_size=1))).value == "1"


@pytest.mark.parametrize(
    ("workers", "threads", "connections", "value", "least"),
    [(1, 4, 1000, 20, 4), (4, 10, 1000, 40, 40), (4, 10, 30, 30, 30), (1, 1, 10, 10, 1)],
)
def test_as_many_connections_as_we_have_threads_and_no_more_than_we_take(
    paper: Callable[..., Paper],
    workers: int,
    threads: int,
    connections: int,
    value: int,
    least: int,
) -> None:
    settings = project(workers=workers, threads=threads, lmtp=Lmtp(max_connections=connections))
    want = wants(paper(settings))["lamson_destination_concurrency_limit"]
    assert want.value == str(value)
    assert as_wanted(want, str(least - 1), str(connections + 1)) == []
    assert as_wanted(want, str(least), str(connections)) == [str(least), str(connections)]


def test_recipients_of_one_message(paper: Callable[..., Paper]) -> None:
    want = wants(paper(project(lmtp=Lmtp(max_recipients=10))))["lamson_destination_recipient_limit"]
    assert want.value == "10"
    assert as_wanted(want, "0", "1", "10", "11", "many") == ["1", "10"]
    assert wants(paper())["lamson_destination_recipient_limit"].value == "50"


def test_bare_newlines_as_far_as_this_postfix_can(paper: Callable[..., Paper]) -> None:
    one = paper()
    want = wants(one)["smtpd_forbid_bare_newline"]
    assert want.value == "normalize"
    assert as_wanted(want, "normalize", "reject", "yes", "note", "no") == [
        "normalize",
        "reject",
        "yes",
    ]
    del one.defaults["smtpd_forbid_bare_newline_reject_code"]
    assert wants(one)["smtpd_forbid_bare_newline"].value == "yes"
    del one.defaults["smtpd_forbid_bare_newline"]
    del one.main["smtpd_forbid_bare_newline"]
    assert "smtpd_forbid_bare_newline" not in wants(one), "an older one has no such parameter"


def test_who_is_excused_from_it_is_a_single_host(paper: Callable[..., Paper]) -> None:
    want = wants(paper())["smtpd_forbid_bare_newline_exclusions"]
    hosts = ("", "192.0.2.1", "192.0.2.1, [2001:db8::1]", "[2001:db8::1]/128")
    wide = ("127.0.0.1", "[::1]", "192.0.2.0/24", "192.0.2.1 10.0.0.0/8", "mail.test", "cidr:/x")
    assert as_wanted(want, *hosts, *wide) == list(hosts)
