"""The doctor's probes of LMTP, socketmap, milter and other servers, against servers by a script."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import pytest

from lamson.postfix.checks import probes
from lamson.postfix.finding import Finding
from lamson.service import asking
from lamson.settings import Lmtp, Milter, Socketmap, Submission
from tests.server.answering import Smtp, answering, silent
from tests.unit.postfix.paper import WORLD, Paper, project
from tests.waiting import free_port

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lamson.postfix.site import Site

CLOSED = {
    "RCPT TO:<LAMSON-CHECK@RELAY-PROBE": "554 5.7.1 Relay access denied",
    "RCPT TO:<LAMSON-CHECK-NOBODY": "550 5.1.1 User unknown",
}
OFFER = struct.pack("!IcIII", 13, b"O", 6, 0x1FF, 0x1FFFFF)


def site_of(directory: Path, *routes: str, **changes: object) -> Site:
    """Everything listens on a port where nobody does, but for the ``changes``."""
    values: dict[str, object] = {
        "lmtp": Lmtp(f"127.0.0.1:{free_port()}"),
        "socketmap": Socketmap(""),
        "submission": Submission(f"127.0.0.1:{free_port()}"),
        "postfix": {"smtpd": f"127.0.0.1:{free_port()}"},
        **changes,
    }
    paper = Paper(directory / "tables", project(**values))
    if routes:
        paper.has_routes(*routes)
    return paper.site()


def found(site: Site, kind: str, smtpd: str | None = None) -> list[Finding]:
    """What is found with a code that begins so."""
    seen = (one for one in probes.findings(site, smtpd) if isinstance(one, Finding))
    return [one for one in seen if one.code.startswith(kind)]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "TIMEOUT", 0.5)


@pytest.fixture
def smtp() -> Iterator[str]:
    """Both what takes mail from the world and what takes ours, as they ought to be."""
    with answering(Smtp(CLOSED)) as port:
        yield f"127.0.0.1:{port}"


def asked_for(reply: bytes) -> Callable[[socket.socket], None]:
    """A server that says this to whatever it is asked."""

    def talk(sock: socket.socket) -> None:
        sock.recv(4096)
        sock.sendall(reply)

    return talk


def test_where_every_leg_carries_nothing_is_found(tmp_path: Path, smtp: str) -> None:
    lmtp = Smtp(greeting="220 mail.test LMTP")
    with (
        answering(lmtp) as lmtp_port,
        answering(asked_for(b"7:OK ours,")) as map_port,
        answering(asked_for(OFFER)) as milter_port,
        answering(Smtp()) as submission_port,
    ):
        site = site_of(
            tmp_path,
            lmtp=Lmtp(f"127.0.0.1:{lmtp_port}"),
            socketmap=Socketmap(f"127.0.0.1:{map_port}"),
            milter=Milter(f"127.0.0.1:{milter_port}", check_recipients=True),
            submission=Submission(f"127.0.0.1:{submission_port}"),
            postfix={"smtpd": smtp},
        )
        seen = list(probes.findings(site))
    assert [one.code for one in seen] == ["untried-known-recipient"]
    assert f"{WORLD}/inet does not answer" in str(seen[0]), "it is on paper alone"
    assert lmtp.heard[:2] == ["LHLO lamson-check.invalid", "QUIT"]
    commands = [line.partition(" ")[0].strip().upper() for line in lmtp.heard[2:]]
    assert commands == ["LHLO", "MAIL", "RCPT", "RSET", "QUIT"], "a known one, and no message"


def test_where_nothing_runs_every_leg_is_found(tmp_path: Path) -> None:
    site = site_of(
        tmp_path,
        socketmap=Socketmap(f"127.0.0.1:{free_port()}"),
        milter=Milter(f"127.0.0.1:{free_port()}", check_recipients=True),
    )
    seen = [one for one in probes.findings(site) if isinstance(one, Finding)]
    assert [one.code for one in seen] == [
        "lmtp-does-not-answer",
        "socketmap-does-not-answer",
        "milter-does-not-answer",
        "smtpd-does-not-answer",
        "submission",
    ]
    assert all("Connection refused" in one.problem for one in seen)


def test_the_smtpd_that_was_named_is_asked(tmp_path: Path, smtp: str) -> None:
    site = site_of(tmp_path)
    assert [one.code for one in found(site, "smtpd-")] == ["smtpd-does-not-answer"]
    assert found(site, "smtpd-", smtp) == []


@pytest.mark.parametrize(
    ("talk", "problem"),
    [
        (Smtp(greeting="421 mail.test busy"), "it says '421 mail.test busy'"),
        (Smtp({"LHLO": "500 5.5.1 what?"}), "it says '220 mail.test ESMTP'"),
        (Smtp(greeting=""), "it says ''"),
        (silent, "timed out"),
    ],
)
def test_an_lmtp_server_that_is_none(tmp_path: Path, talk: Any, problem: str) -> None:
    with answering(talk) as port:
        [finding] = found(site_of(tmp_path, lmtp=Lmtp(f"127.0.0.1:{port}")), "lmtp-")
    assert finding.problem == f"no LMTP server answers on 127.0.0.1:{port}: {problem}"
    assert finding.fix == "lamson start"


def test_an_lmtp_server_at_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "lmtp.sock"
    site = site_of(tmp_path, lmtp=Lmtp(f"unix:{path}"))
    [finding] = found(site, "lmtp-")
    assert "No such file or directory" in finding.problem
    with answering(Smtp(greeting="220 mail.test LMTP"), path):
        assert found(site, "lmtp-") == []


def test_every_interface_is_asked_on_loopback(tmp_path: Path) -> None:
    with answering(Smtp(greeting="220 mail.test LMTP")) as port:
        assert found(site_of(tmp_path, lmtp=Lmtp(f"0.0.0.0:{port}")), "lmtp-") == []


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (b"9:NOTFOUND ,", "it says b'9:NOTFOUND ,' of app.test"),
        (b"", "it says b'' of app.test"),
    ],
)
def test_a_socketmap_that_does_not_know_us(tmp_path: Path, reply: bytes, problem: str) -> None:
    with answering(asked_for(reply)) as port:
        site = site_of(tmp_path, socketmap=Socketmap(f"127.0.0.1:{port}"))
        [finding] = found(site, "socketmap-")
    assert finding.problem == f"no socketmap answers on 127.0.0.1:{port}: {problem}"


@pytest.mark.parametrize(
    ("reply", "is_right"), [(b"9:NOTFOUND ,", True), (b"HTTP/1.1 400\r\n", False), (b"", False)]
)
def test_a_socketmap_where_no_domain_can_be_listed(
    tmp_path: Path, reply: bytes, is_right: bool
) -> None:
    with answering(asked_for(reply)) as port:
        site = site_of(tmp_path, r".+@[a-z]+\.app\.test", socketmap=Socketmap(f"127.0.0.1:{port}"))
        assert site.domains.listed == frozenset()
        assert (found(site, "socketmap-") == []) == is_right


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (b"220 mail.test ESMTP\r\n", "it says b'm' where a milter negotiates"),
        (struct.pack("!Ic", 50_000, b"O"), "it says b'O' where a milter negotiates"),
        (struct.pack("!IcIII", 13, b"O", 1, 0, 0), "it speaks version 1 of the protocol"),
        (OFFER[:3], "it hangs up"),
        (OFFER[:-1], "it hangs up"),
    ],
)
def test_a_milter_that_is_none(tmp_path: Path, reply: bytes, problem: str) -> None:
    with answering(asked_for(reply)) as port:
        milter = Milter(f"127.0.0.1:{port}", check_recipients=True)
        [finding] = found(site_of(tmp_path, milter=milter), "milter-")
    assert finding.problem == f"no milter answers on 127.0.0.1:{port}: {problem}"


def others(directory: Path, **main: str) -> list[Finding]:
    """What is said of other servers that main.cf names; our milter is one that does not run."""
    milter = Milter(f"127.0.0.1:{free_port()}", check_recipients=True)
    settings = project(milter=milter, lmtp=Lmtp(f"127.0.0.1:{free_port()}"))
    paper = Paper(directory / "tables", settings)
    paper.main |= {name: f"{paper.main.get(name, '')} {value}" for name, value in main.items()}
    return found(paper.site(), "another-")


def test_other_servers_that_postfix_asks(tmp_path: Path) -> None:
    assert others(tmp_path) == [], "ours are asked themselves"
    with answering(silent) as port:
        there, gone = f"inet:127.0.0.1:{port}", f"inet:127.0.0.1:{free_port()}"
        assert others(tmp_path, smtpd_milters=there, transport_maps=f"socketmap:{there}:x") == []
        [finding] = others(tmp_path, smtpd_milters=f"{{ {gone}, default_action=accept }}")
        assert finding.problem == f"{gone} in smtpd_milters does not answer: Connection refused"
        assert "default_action" not in finding.fix, "the cure leaves it out"
        [finding] = others(tmp_path, relay_recipient_maps=f"proxy:socketmap:{gone}:x")
        assert finding.problem.startswith(f"socketmap:{gone}:x in relay_recipient_maps")


def test_a_name_that_is_none_is_a_finding_too(tmp_path: Path) -> None:
    [finding] = others(tmp_path, smtpd_milters="inet:mail..test:8000")
    assert "mail..test" in finding.problem


def test_where_postfix_asks_us_and_nobody_is(tmp_path: Path) -> None:
    """Lamson runs, and Postfix is told of another port: no start of Lamson mends that."""
    with answering(asked_for(b"7:OK ours,")) as port:
        for lookups, codes in (
            (f"inet:127.0.0.1:{free_port()}", ["lookups-do-not-answer"]),
            (f"inet:127.0.0.1:{port}", []),
        ):
            site = site_of(
                tmp_path,
                socketmap=Socketmap(f"127.0.0.1:{port}"),
                postfix={"smtpd": f"127.0.0.1:{free_port()}", "lookups": lookups},
            )
            assert [one.code for one in found(site, "lookups-")] == codes


def test_servers_that_one_service_asks(tmp_path: Path, smtp: str) -> None:
    """smtpd answers 451 to everybody there while they are silent."""
    paper = Paper(tmp_path / "tables", project())
    policy, milter = free_port(), free_port()
    for setting in (
        f"smtpd_recipient_restrictions=check_policy_service inet:127.0.0.1:{policy}",
        f"smtpd_milters=inet:127.0.0.1:{milter}",
    ):
        paper.run("-P", f"{WORLD}/inet/{setting}")
    said = {one.problem: one.why for one in found(paper.site(), "another-server", smtp)}
    assert len(said) == 2
    assert all("defers all mail" in why for why in said.values())
    paper.run("-e", "smtpd_policy_service_default_action=DUNNO", "milter_default_action=accept")
    passed = [one.why for one in found(paper.site(), "another-server", smtp)]
    assert passed == ["mail passes without it"] * 2
