"""The doctor's probe of submission, against servers that answer by a script, with real TLS."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest

from lamson.net.tls import server_context
from lamson.postfix.checks import handing_in
from lamson.settings import Submission
from tests.certificates import Authority
from tests.server.answering import Smtp, answering, silent
from tests.unit.postfix.paper import Paper, project

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lamson.postfix.finding import Finding

    Try = Callable[..., list[Finding]]

WITH_LOGIN = {"EHLO": "250-mail.test\r\n250 AUTH PLAIN"}
WITH_TLS = {"EHLO": "250-mail.test\r\n250-STARTTLS\r\n250 AUTH PLAIN"}
OURS = "MAIL FROM:<LAMSON-CHECK@APP.TEST>"
NOT_OWNED = "553 5.7.1 <x>: Sender address rejected: not owned by user zed"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def tried(tmp_path: Path) -> Try:
    """Tries a server with these settings of submission; gives what is found."""

    def attempt(talk: Any, *routes: str, **options: object) -> list[Finding]:
        with answering(talk) as port:
            own = Submission(f"127.0.0.1:{port}", **options)
            paper = Paper(tmp_path / "tables", project(submission=Submission(own.server)))
            paper.settings = project(submission=own)
            if routes:
                paper.has_routes(*routes)
            return list(handing_in.findings(paper.site()))

    return attempt


def commands(talk: Smtp) -> list[str]:
    return [line.partition(" ")[0].upper() for line in talk.heard]


def test_a_right_server_which_is_sent_nothing(tried: Try) -> None:
    talk = Smtp()
    assert tried(talk) == []
    assert commands(talk) == ["EHLO", "MAIL", "RCPT", "RSET", "MAIL", "RCPT", "QUIT"]
    assert talk.heard[1].startswith("mail FROM:<>")


def test_without_a_domain_no_sender_is_tried(tried: Try) -> None:
    talk = Smtp()
    assert tried(talk, r".+@[a-z]+\.app\.test") == []
    assert commands(talk) == ["EHLO", "MAIL", "RCPT", "QUIT"]


@pytest.mark.parametrize(
    ("talk", "problem"),
    [
        (Smtp(greeting="421 mail.test busy"), "421 mail.test busy"),
        (Smtp(greeting=""), "Connection unexpectedly closed"),
        (Smtp({"MAIL": ""}), "Connection unexpectedly closed"),
        (Smtp({"MAIL": "550 5.7.1 no"}), "it refuses our mail: 550 5.7.1 no"),
        (Smtp({"MAIL": "451 4.3.0 no"}), "it refuses our mail: 451 4.3.0 no"),
        (Smtp({"RCPT": "554 5.7.1 Not\tyou"}), "it refuses our mail: 554 5.7.1 Not you"),
        (silent, "timed out"),
    ],
)
def test_a_server_that_does_not_take_our_mail(
    tried: Try, monkeypatch: pytest.MonkeyPatch, talk: Any, problem: str
) -> None:
    monkeypatch.setattr(handing_in, "TIMEOUT", 0.5)
    [finding] = tried(talk)
    assert finding.code == "submission"
    assert finding.problem.startswith("submission to 127.0.0.1:")
    assert problem in finding.problem


def test_a_server_that_looks_for_the_domain_puts_only_that_one_off(tried: Try) -> None:
    assert tried(Smtp({"RCPT": "450 4.1.2 Domain not found"})) == []


def test_a_name_that_is_none(tmp_path: Path) -> None:
    paper = Paper(tmp_path / "tables", project(submission=Submission("mail..test:25")))
    [finding] = handing_in.findings(paper.site())
    assert finding.code == "submission"


def test_the_login(tried: Try) -> None:
    talk = Smtp(WITH_LOGIN)
    assert tried(talk, user="zed", secret="pass") == []
    [login] = [line for line in talk.heard if line.startswith("AUTH")]
    assert base64.b64decode(login.split()[2]) == b"\0zed\0pass"


def test_a_login_that_is_refused(tried: Try) -> None:
    talk = Smtp(WITH_LOGIN | {"AUTH": "535 5.7.8 Error: authentication failed"})
    [finding] = tried(talk, user="zed", secret="geheim")
    assert finding.code == "submission-login"
    assert "password" in finding.fix, "no line of main.cf is what is wrong"
    assert "535 5.7.8 Error: authentication failed" in finding.problem
    assert "geheim" not in str(finding)


def test_a_server_without_logins(tried: Try) -> None:
    [finding] = tried(Smtp(), user="zed", secret="pass")
    assert finding.code == "submission"
    assert "AUTH extension not supported" in finding.problem


def test_a_password_that_cannot_be_read(tried: Try, tmp_path: Path) -> None:
    file = tmp_path / "gone"
    [finding] = tried(Smtp(WITH_LOGIN), user="zed", secret_file=file)
    assert finding.code == "submission"
    assert str(file) in finding.problem


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_tls(tried: Try, authority: Authority, security: str) -> None:
    context = server_context(*authority.issue("mail.test"))
    talk = Smtp(WITH_TLS, context=context, is_wrapped=security == "tls")
    options: dict[str, object] = {"security": security, "user": "zed", "secret": "pass"}
    trusted = {"ca_file": authority.certificate, "tls_name": "mail.test"}
    assert tried(talk, **options, **trusted) == []
    starttls = ["EHLO", "STARTTLS"] if security == "starttls" else []
    assert commands(talk)[: len(starttls) + 2] == [*starttls, "EHLO", "AUTH"]
    talk.heard.clear()
    [finding] = tried(talk, **options, tls_name="mail.test")
    assert finding.code == "submission-tls"
    assert "ca_file" in finding.problem, "what to do about it"
    assert "AUTH" not in commands(talk)
    [finding] = tried(talk, **options, **{**trusted, "tls_name": "other.test"})
    assert finding.code == "submission-tls"
    assert "its certificate is for another name" in finding.problem


def test_a_server_that_does_not_speak_tls(tried: Try) -> None:
    [finding] = tried(Smtp(), security="starttls")
    assert finding.code == "submission"
    assert "STARTTLS extension not supported" in finding.problem
    refusing = Smtp(WITH_TLS | {"STARTTLS": "454 4.7.0 TLS not available"})
    [finding] = tried(refusing, security="starttls")
    assert finding.code == "submission"
    assert "454 4.7.0 TLS not available" in finding.problem
    [finding] = tried(Smtp(), security="tls")
    assert finding.code == "submission-tls"


@pytest.mark.parametrize("refused", [OURS, "RCPT"])
def test_a_sender_that_the_login_may_not_use(tried: Try, refused: str) -> None:
    class Refusing(Smtp):
        """Refuses our sender, at once or when it hears the recipient."""

        def reply(self, command: str) -> str:
            is_ours = any(line.upper().startswith(OURS) for line in self.heard)
            if is_ours and command.upper().startswith(refused):
                return NOT_OWNED
            return super().reply(command)

    talk = Refusing(WITH_LOGIN)
    [finding] = tried(talk, user="zed", secret="pass")
    assert finding.code == "submission-sender"
    assert "does not let zed send as @app.test: 5.7.1 <x>: Sender" in finding.problem
    maps = "smtpd_sender_login_maps=inline:{@app.test=zed},inline:{@lists.test=zed}"
    assert maps in finding.fix
    assert finding.fix.startswith("postconf "), "the service is one of this Postfix"


@pytest.mark.parametrize(
    ("there", "fix"),
    [
        ("inline:{@bank.test=ann}", "=inline:{@bank.test=ann},inline:{@app.test=zed},"),
        ("inline:{@app.test=ann}", "by hand: let zed own @app.test in inline:{@app.test=ann}"),
    ],
)
def test_who_owns_a_sender_already_goes_on_to(tmp_path: Path, there: str, fix: str) -> None:
    with answering(Smtp(WITH_LOGIN | {OURS: NOT_OWNED})) as port:
        paper = Paper(tmp_path / "tables")
        smtpd = f"127.0.0.1:{port}"
        paper.settings = project(submission=Submission(smtpd, user="zed", secret="pass"))
        option = f"-o smtpd_sender_login_maps={there}"
        paper.run("-M", f"{smtpd}/inet={smtpd} inet n - n - - smtpd {option}")
        [finding] = handing_in.findings(paper.site())
    assert fix in finding.fix


def test_a_sender_that_a_server_elsewhere_refuses(tmp_path: Path) -> None:
    with answering(Smtp(WITH_LOGIN | {OURS: NOT_OWNED})) as port:
        paper = Paper(tmp_path / "tables")
        paper.settings = project(
            submission=Submission(f"127.0.0.1:{port}", user="zed", secret="pass")
        )
        [finding] = handing_in.findings(paper.site())
    assert finding.fix.startswith("let zed send as @app.test on 127.0.0.1: smtpd_sender_login_maps")


@pytest.mark.parametrize(
    ("reply", "setting"),
    [
        ("550 5.1.0 <x>: Sender address rejected: User unknown", "smtpd_reject_unlisted_sender=no"),
        ("554 5.7.1 <x>: Sender address rejected: Access denied", "smtpd_sender_restrictions="),
        ("450 4.1.8 <x>: Sender address rejected: not found", "smtpd_sender_restrictions="),
    ],
)
def test_what_is_against_forged_senders_is_against_us(tried: Try, reply: str, setting: str) -> None:
    [finding] = tried(Smtp({OURS: reply}))
    assert finding.code == "submission-sender"
    assert finding.fix.startswith("postconf -P '127.0.0.1:")
    assert f"/inet/{setting}'" in finding.fix


@pytest.mark.parametrize("reply", ["450 4.7.1 not owned yet", "550 5.7.1 Go away"])
def test_what_says_nothing_of_the_login_is_no_finding(tried: Try, reply: str) -> None:
    assert tried(Smtp(WITH_LOGIN | {OURS: reply}), user="zed", secret="pass") == []
