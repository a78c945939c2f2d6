"""The doctor's probe of smtpd, against servers that answer by a script."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lamson.postfix.checks import stranger
from lamson.postfix.finding import Finding, Untried
from tests.server.answering import Smtp, answering, silent
from tests.unit.postfix.paper import Paper, project

if TYPE_CHECKING:
    from pathlib import Path

ELSEWHERE = "RCPT TO:<LAMSON-CHECK@RELAY-PROBE.INVALID>"
UNKNOWN = "RCPT TO:<LAMSON-CHECK-NOBODY-HAS-THIS-ADDRESS@APP.TEST>"
DENIED = "554 5.7.1 <x>: Relay access denied"
CLOSED = {ELSEWHERE: DENIED, UNKNOWN: "550 5.1.1 <x>: Recipient address rejected: User unknown"}


@pytest.fixture
def paper(tmp_path: Path) -> Paper:
    return Paper(tmp_path / "tables")


def met(paper: Paper, talk: Any) -> tuple[str, list[Finding | Untried]]:
    """Where it was, and what is said of it."""
    with answering(talk) as port:
        smtpd = f"127.0.0.1:{port}"
        return smtpd, list(stranger.findings(paper.site(), smtpd))


def finding(paper: Paper, talk: Any) -> Finding:
    [one] = met(paper, talk)[1]
    assert isinstance(one, Finding)
    return one


def untried(paper: Paper, talk: Any) -> str:
    [one] = met(paper, talk)[1]
    assert isinstance(one, Untried)
    return str(one)


def test_a_right_smtpd_which_is_sent_nothing(paper: Paper) -> None:
    talk = Smtp(CLOSED)
    assert met(paper, talk)[1] == []
    commands = [line.partition(" ")[0].upper() for line in talk.heard]
    assert commands == ["EHLO", "MAIL", "RCPT", "RCPT", "QUIT"]
    assert talk.heard[1].startswith("mail FROM:<>")


@pytest.mark.parametrize(
    ("talk", "problem"),
    [
        (Smtp(greeting="521 mail.test takes no mail"), "521 mail.test takes no mail"),
        (Smtp(greeting=""), "Connection unexpectedly closed"),
        (Smtp({"RCPT": ""}), "Connection unexpectedly closed"),
        (silent, "timed out"),
    ],
)
def test_no_smtpd(paper: Paper, monkeypatch: pytest.MonkeyPatch, talk: Any, problem: str) -> None:
    monkeypatch.setattr(stranger, "TIMEOUT", 0.5)
    one = finding(paper, talk)
    assert one.code == "smtpd-does-not-answer"
    assert problem in one.problem


def test_a_name_that_is_none(paper: Paper) -> None:
    [one] = stranger.findings(paper.site(), "mail..test:25")
    assert isinstance(one, Finding)
    assert one.code == "smtpd-does-not-answer"


def test_the_null_sender_is_refused(paper: Paper) -> None:
    one = finding(paper, Smtp({"MAIL": "451 4.7.1 Not now", "RCPT": "503 5.5.1"}))
    assert one.code == "smtpd-takes-no-sender"
    assert one.problem == "smtpd answers 451 to MAIL FROM:<>: 4.7.1 Not now"


def test_an_open_relay(paper: Paper) -> None:
    paper.run("-e", "mynetworks=192.0.2.0/24")
    smtpd, [one] = met(paper, Smtp({UNKNOWN: CLOSED[UNKNOWN]}))
    assert isinstance(one, Finding)
    assert one.code == "open-relay"
    assert one.problem == f"{smtpd} takes mail from 127.0.0.1's clients for anywhere"
    assert "reject_unauth_destination" in one.fix


def test_who_is_trusted_has_shown_nothing(paper: Paper) -> None:
    text = untried(paper, Smtp({UNKNOWN: CLOSED[UNKNOWN]}))
    assert text.startswith("whether strangers may relay could not be tried from here: 127.0.0.1 is")


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        ("250 2.1.5 Ok", "unknown-recipient-is-taken"),
        ("252 2.1.5 Perhaps", "unknown-recipient-is-taken"),
        (DENIED, "our-domain-is-not-taken"),
        ("454 4.7.1 <x>: Relay access denied", "our-domain-is-not-taken"),
        ("451 4.3.0 <x>: Temporary lookup failure", "unknown-recipient-is-deferred"),
        ("451 4.3.5 Server configuration problem", "unknown-recipient-is-deferred"),
        ("450 4.1.1 <x>: User unknown in relay", "unknown-recipient-is-deferred"),
        ("451 4.7.1 Service unavailable - try again later", "unknown-recipient-is-deferred"),
    ],
)
def test_what_it_says_of_an_unknown_recipient(paper: Paper, reply: str, code: str) -> None:
    paper.has_routes(r"users@(?:lists|app)\.test")
    one = finding(paper, Smtp({ELSEWHERE: DENIED, UNKNOWN: reply}))
    assert one.code == code
    assert reply.partition(" ")[2] in one.problem or code == "unknown-recipient-is-taken"


@pytest.mark.parametrize(
    ("options", "said"), [(" -o soft_bounce=yes", "postconf -PX"), ("", "by hand")]
)
def test_why_a_refusal_is_not_final(paper: Paper, options: str, said: str) -> None:
    paper.has_routes(r"users@(?:lists|app)\.test")
    reply = "450 4.1.1 <x>: User unknown"
    with answering(Smtp({ELSEWHERE: DENIED, UNKNOWN: reply})) as port:
        smtpd = f"127.0.0.1:{port}"
        paper.run("-M", f"{smtpd}/inet={smtpd} inet n - n - - smtpd{options}")
        [one] = stranger.findings(paper.site(), smtpd)
    assert isinstance(one, Finding)
    assert one.code == "unknown-recipient-is-deferred"
    assert one.fix.startswith(said)
    assert "lamson start" not in one.fix


def test_a_site_that_verifies_addresses_is_well(paper: Paper) -> None:
    """It puts off whom it has found missing: Postfix's default, and its guide's first step."""
    paper.has_routes(r"users@(?:lists|app)\.test")
    reply = "450 4.1.1 <x>: Recipient address rejected: undeliverable address: it said 550"
    assert "has verified that it is not there" in untried(
        paper, Smtp({ELSEWHERE: DENIED, UNKNOWN: reply})
    )


def test_an_address_that_postfix_is_verifying(paper: Paper) -> None:
    paper.has_routes(r"users@(?:lists|app)\.test")
    reply = "450 4.1.1 <x>: unverified address: Address verification in progress"
    assert "is asking for it" in untried(paper, Smtp({ELSEWHERE: DENIED, UNKNOWN: reply}))


def test_what_the_configuration_explains_is_told_once(paper: Paper) -> None:
    """`apply` has nothing to change there, and would be said for ever."""
    paper.has_routes(r"users@(?:lists|app)\.test")
    talk = Smtp({ELSEWHERE: DENIED, UNKNOWN: "250 2.1.5 Ok"})
    with answering(talk) as port:
        smtpd = f"127.0.0.1:{port}"
        entry = f"{smtpd}/inet={smtpd} inet n - n - - smtpd -o smtpd_reject_unlisted_recipient=no"
        paper.run("-M", entry)
        paper.settings = project(postfix={"smtpd": smtpd})
        assert list(stranger.findings(paper.site(), smtpd)) == []
    assert finding(paper, talk).fix.startswith("by hand")


def test_a_machines_own_address_may_be_a_strangers(
    paper: Paper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loopback is trusted, and shows nothing; the other address is not, and shows it."""
    paper.has_routes(r"users@(?:lists|app)\.test")
    monkeypatch.setattr(stranger, "own_address", lambda: "127.0.0.2")
    paper.run("-e", "mynetworks=127.0.0.1/32")
    monkeypatch.setattr(stranger, "_meet", _Meeting(stranger._meet))
    shut = "554 5.7.1 <x[y]>: Client host rejected: Access denied"
    for reply, codes in (
        ("250 2.1.5 Ok", ["open-relay"]),
        (shut, ["strangers-are-refused"]),
        (DENIED, []),
    ):
        _Meeting.beyond = reply
        _, found = met(paper, Smtp({UNKNOWN: CLOSED[UNKNOWN]}))
        assert [one.code for one in found] == codes


class _Meeting:
    """Asks the real server from loopback; from the other address it is told ``beyond``."""

    beyond = ""

    def __init__(self, really: Any) -> None:
        self._really = really

    def __call__(self, host: str, port: int, address: str) -> Any:
        found = self._really("127.0.0.1", port, address)
        if host == "127.0.0.2":
            code, _, text = self.beyond.partition(" ")
            return found._replace(source=host, foreign=(int(code), text.encode()))
        return found


def test_where_routes_take_any_address_nobody_is_unknown(paper: Paper) -> None:
    """As those of a new project do: what `apply` would write changes nothing about it."""
    text = untried(paper, Smtp({ELSEWHERE: DENIED, UNKNOWN: "250 2.1.5 Ok"}))
    assert "no address of app.test is unknown, as " in text


@pytest.mark.parametrize("reply", ["450 4.2.0 Greylisted", "550 5.7.1 Not you", "503 5.5.1 no"])
def test_an_answer_that_comes_before_the_lookup(paper: Paper, reply: str) -> None:
    text = untried(paper, Smtp({ELSEWHERE: DENIED, UNKNOWN: reply}))
    assert text.startswith("whether unknown recipients are refused could not be tried from here")
    assert text.endswith(reply.partition(" ")[2])


def test_without_a_domain_there_is_no_unknown_recipient(paper: Paper) -> None:
    paper.has_routes(r".+@[a-z]+\.app\.test")
    talk = Smtp({ELSEWHERE: DENIED})
    text = untried(paper, talk)
    assert text == (
        "whether unknown recipients are refused could not be tried from here: no domain of ours"
        " is known by its name"
    )
    assert sum(line.startswith("rcpt") for line in talk.heard) == 1
