"""The doctor's probes with a known address: at smtpd, and at Postfix's next hop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lamson.postfix.checks import arrival, known
from lamson.postfix.finding import Finding, Untried
from tests.server.answering import Smtp, answering
from tests.unit.postfix.paper import WORLD, Paper, project
from tests.waiting import free_port

if TYPE_CHECKING:
    from pathlib import Path

UNKNOWN = "550 5.1.1 <x>: Recipient address rejected: User unknown in relay recipient table"
REFUSED = "554 5.7.1 <x>: Recipient address rejected: Access denied"


@pytest.fixture
def paper(tmp_path: Path) -> Paper:
    one = Paper(tmp_path / "tables")
    one.has_routes(r"users@(?:lists|app)\.test", r"staff@app\.test")
    return one


def met(paper: Paper, talk: Any) -> list[Finding | Untried]:
    with answering(talk) as port:
        paper.master = {  # the world and no other
            key: one for key, one in paper.master.items() if not key.endswith("/inet")
        }
        return list(known.findings(paper.site(), f"127.0.0.1:{port}"))


def test_one_address_of_each_route_is_offered_and_sent_nothing(paper: Paper) -> None:
    talk = Smtp()
    assert met(paper, talk) == []
    assert [line.partition(" ")[0].upper() for line in talk.heard] == [
        "EHLO", "MAIL", "RCPT", "RCPT", "RCPT", "QUIT",
    ]  # fmt: skip
    assert "users@app.test" in "".join(talk.heard).lower()


@pytest.mark.parametrize(
    ("reply", "codes"),
    [
        (UNKNOWN, ["known-recipient-is-unknown"]),
        (UNKNOWN.replace("550", "450"), ["known-recipient-is-unknown"]),
        (REFUSED, ["known-recipient-is-refused"]),
        ("450 4.2.0 <x>: Recipient address rejected: Greylisted", ["untried-known-recipient"]),
        (
            "450 4.1.1 <x>: unverified address: Address verification in progress",
            ["untried-known-recipient"],
        ),
        ("450 4.1.1 <x>: undeliverable address: connect: refused", ["known-recipient-is-refused"]),
        ("554 5.7.1 <x>: Client host rejected: Access denied", ["untried-known-recipient"]),
    ],
)
def test_what_it_says_of_one(paper: Paper, reply: str, codes: list[str]) -> None:
    found = met(paper, Smtp({"RCPT TO:<STAFF": reply}))
    assert [one.code for one in found] == codes
    assert "staff@app.test" in found[0].problem + found[0].why


def test_a_filter_of_the_application_may_refuse_what_is_made_up(paper: Paper) -> None:
    paper.settings = project(filters=["app.filters"])
    (one,) = met(paper, Smtp({"RCPT TO:<STAFF": REFUSED}))
    assert one.kind == "untried"


def test_no_route_of_which_an_address_can_be_made_up(paper: Paper) -> None:
    paper.has_routes(r"x@[a-z]+\.app\.test")
    (one,) = met(paper, Smtp())
    assert one.code == "untried-known-recipient"


def test_another_service_that_knows_nothing_of_it(paper: Paper) -> None:
    with answering(Smtp()) as world, answering(Smtp({"RCPT": UNKNOWN})) as port:
        paper.master.pop("127.0.0.1:10587/inet")
        paper.master.pop(f"{WORLD}/inet")
        paper.run("-M", f"127.0.0.1:{port}/inet=127.0.0.1:{port} inet n - n - - smtpd")
        (one,) = known.findings(paper.site(), f"127.0.0.1:{world}")
    assert one.code == "known-recipient-is-unknown"
    assert f"127.0.0.1:{port}/inet" in one.problem


@pytest.mark.parametrize("reply", ["530 5.7.0 Must issue a STARTTLS", "554 5.7.1 Access denied"])
def test_another_service_that_lets_in_whom_it_knows_is_well(paper: Paper, reply: str) -> None:
    with answering(Smtp()) as world, answering(Smtp({"RCPT": reply})) as port:
        paper.master.pop("127.0.0.1:10587/inet")
        paper.master.pop(f"{WORLD}/inet")
        paper.run("-M", f"127.0.0.1:{port}/inet=127.0.0.1:{port} inet n - n - - smtpd")
        assert list(known.findings(paper.site(), f"127.0.0.1:{world}")) == []


# The next hop.


def arrived(paper: Paper, port: int) -> list[Finding | Untried]:
    hop = f"lamson:inet:[127.0.0.1]:{port}"
    paper.settings = project(postfix={"smtpd": WORLD, "next_hop": hop})
    paper.main["transport_maps"] = f"inline:{{app.test={hop} lists.test={hop}}}"
    return list(arrival.findings(paper.site()))


def test_the_next_hop_is_offered_a_known_address_and_sent_nothing(paper: Paper) -> None:
    talk = Smtp()
    with answering(talk) as port:
        assert arrived(paper, port) == []
    commands = [line.partition(" ")[0].strip().upper() for line in talk.heard]
    assert commands == ["LHLO", "MAIL", "RCPT", "RSET", "QUIT"]


def test_a_next_hop_where_nobody_answers(paper: Paper) -> None:
    port = free_port()
    (one,) = arrived(paper, port)
    assert one.code == "next-hop-does-not-answer"
    assert isinstance(one, Finding)
    assert "correct postfix.next_hop" in one.fix


def test_a_next_hop_that_is_not_ours_is_not_mended_by_a_start(paper: Paper) -> None:
    """Lamson may be running, at the place that its settings name."""
    port = free_port()
    hop = f"lamson:inet:[127.0.0.1]:{port}"
    paper.main["transport_maps"] = f"inline:{{app.test={hop} lists.test={hop}}}"
    (one,) = arrival.findings(paper.site())
    assert isinstance(one, Finding)
    assert one.code == "next-hop-does-not-answer"
    assert "lamson start" not in one.fix
    assert paper.site().settings.next_hop in one.fix


@pytest.mark.parametrize("reply", ["550 5.1.1 No route", "530 5.7.0 TLS first"])
def test_a_next_hop_that_refuses(paper: Paper, reply: str) -> None:
    with answering(Smtp({"RCPT": reply})) as port:
        (one,) = arrived(paper, port)
    assert one.code == "next-hop-refuses"
    assert reply.partition(" ")[2] in one.problem
