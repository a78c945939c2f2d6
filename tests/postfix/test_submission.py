"""The submission service that `lamson postfix apply` writes, on a Postfix that runs it."""

from __future__ import annotations

import shutil
import smtplib
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lamson.net import tls
from lamson.postfix import plan, submission
from lamson.postfix.apply import carry_out, undo
from lamson.postfix.checks import handing_in
from lamson.postfix.postconf import Postconf
from lamson.settings import Settings, Submission
from tests.certificates import Authority
from tests.postfix.config import HOSTNAME
from tests.postfix.patient import Patient, project, site_of
from tests.postfix.sasl import PASSWORD
from tests.waiting import free_port, listening, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from lamson.postfix.finding import Finding
    from tests.postfix.instance import PostfixInstance

pytestmark = pytest.mark.postfix
USER = f"lamson@{HOSTNAME}"
KEY = "127.0.0.1:{}/inet"


def secured(port: int, authority: Authority, **changes: object) -> Settings:
    values: dict[str, object] = {
        "security": "starttls",
        "tls_name": HOSTNAME,
        "ca_file": authority.certificate,
        "user": USER,
        "secret": PASSWORD,
        **changes,
    }
    return project(submission=Submission(f"127.0.0.1:{port}", **values))


def apply(settings: Settings, directory: Path) -> Path | None:
    site = site_of(settings, directory)
    changes = plan.make(site, [], submission.wanted(site))
    return carry_out(Postconf(directory), changes, directory / "undo")


def submitting(settings: Settings, directory: Path) -> list[Finding]:
    return list(handing_in.findings(site_of(settings, directory)))


@pytest.mark.slow
@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_what_apply_writes_takes_our_mail_and_nobody_elses(
    make_postfix: Callable[..., PostfixInstance],
    authority: Authority,
    sasl: Path,
    tmp_path: Path,
    security: str,
) -> None:
    certificate, key = authority.issue(HOSTNAME)
    postfix = make_postfix(
        routes={},
        main={
            "smtpd_tls_cert_file": str(certificate),
            "smtpd_tls_key_file": str(key),
            "smtpd_sasl_path": "smtpd",
            "smtpd_sasl_local_domain": HOSTNAME,
        },
    )
    etc = postfix.base / "etc"
    shutil.copytree(sasl, etc / "sasl")
    port = free_port()
    settings = secured(port, authority, security=security)
    before = (etc / "main.cf").read_bytes()
    assert apply(settings, etc) is not None
    assert apply(settings, etc) is None, "twice is once"
    assert (etc / "main.cf").read_bytes() == before
    postfix.reload()
    wait_for(lambda: listening(port), "the new service")

    assert submitting(settings, etc) == []
    assert list(submission.lacking(site_of(settings, etc))) == []
    wrong = secured(port, authority, security=security, secret="wrong")
    (finding,) = submitting(wrong, etc)
    assert (finding.code, "535" in finding.problem) == ("submission-login", True)
    other = Authority(tmp_path / "other").certificate
    (finding,) = submitting(secured(port, authority, security=security, ca_file=other), etc)
    assert (finding.code, "ca_file" in finding.problem) == ("submission-tls", True)
    (finding,) = submitting(secured(port, authority, security=security, tls_name="x.test"), etc)
    assert (finding.code, "another name" in finding.problem) == ("submission-tls", True)

    context = tls.client_context(authority.certificate, HOSTNAME)
    if security == "tls":
        client: smtplib.SMTP = smtplib.SMTP_SSL("127.0.0.1", port, context=context)
    else:
        client = smtplib.SMTP("127.0.0.1", port)
        assert client.docmd("MAIL", "FROM:<a@app.test>")[0] == 530
        client.starttls(context=context)
    with client:
        client.ehlo("client.test")
        client.mail("a@app.test")
        assert client.rcpt("zed@world.test")[0] == 554, "nobody without a login"
        client.rset()
        client.login(USER, PASSWORD)
        for sender, code in (("a@app.test", 250), ("", 250), ("ceo@bank.test", 553)):
            client.mail(sender)
            assert client.rcpt("zed@world.test")[0] == code, sender
            client.rset()

    postfix.run(
        "postconf", "-P", f"{KEY.format(port)}/smtpd_sender_login_maps=inline:{{@x.test=u}}"
    )
    postfix.reload()
    (finding,) = wait_for(lambda: submitting(settings, etc), "the other senders")
    assert (finding.code, "not owned by user" in finding.problem) == ("submission-sender", True)
    subprocess.run(
        ["sh", "-c", finding.fix.removesuffix(f" && postfix -c {etc} reload")], check=True
    )
    postfix.reload()
    wait_for(lambda: not submitting(settings, etc), "our senders again")


def test_the_service_is_written_where_it_is_this_postfix(
    authority: Authority, tmp_path: Path
) -> None:
    own = Submission(
        f"{HOSTNAME}:587", user="lamson", security="starttls", ca_file=authority.certificate
    )
    patient = Patient(project(submission=own))
    try:
        patient.run("-e", f"smtpd_tls_chain_files={both(authority, tmp_path)}")
        rollback = patient.apply()
        assert rollback is not None
        service = patient.services()["submission/inet"]
        assert service.options["smtpd_tls_security_level"] == "encrypt"
        maps = service.options["smtpd_sender_login_maps"]
        assert maps == "inline:{@app.test=lamson},inline:{@lists.test=lamson}"
        assert patient.findings() == []
        undo(patient.postconf, rollback)
        assert "submission/inet" not in patient.services()
    finally:
        patient.postfix.close()


def test_a_service_that_is_there_is_left_alone_and_told(
    authority: Authority, tmp_path: Path
) -> None:
    own = Submission(f"{HOSTNAME}:587", user="lamson", ca_file=authority.certificate)
    patient = Patient(project(submission=own))
    try:
        entry = "submission inet n - y - - smtpd -o smtpd_relay_restrictions=reject"
        patient.run("-M", f"submission/inet={entry}")
        patient.run("-e", f"smtpd_tls_chain_files={both(authority, tmp_path)}")
        keys = [one.name for one in patient.changes() if one.file == "master.cf"]
        assert keys == ["lamson/unix"]
        patient.apply()
        assert patient.services()["submission/inet"].entry == entry
        found = patient.findings()
        assert {finding.code for finding in found} == {"submission-service"}
        lacks = " ".join(finding.problem for finding in found)
        for setting in ("smtpd_tls_security_level=", "smtpd_sasl_auth_enable=", "relay"):
            assert setting in lacks
        for finding in found:
            patient.cure(finding)
        assert patient.findings() == []
        patient.run("-PX", "submission/inet/smtpd_tls_security_level")
        patient.run("-e", "smtpd_tls_auth_only=yes")
        assert patient.codes() == ["submission-service"]
        patient.run("-e", "smtpd_use_tls=yes", "smtpd_tls_security_level=")
        assert patient.findings() == [], "as Postfix 2 had it, and still takes it"
        patient.run("-X", "smtpd_tls_chain_files")
        assert patient.codes() == ["submission-certificate"]
    finally:
        patient.postfix.close()


def both(authority: Authority, directory: Path) -> Path:
    """A file with a key and its certificate."""
    certificate, key = authority.self_signed(HOSTNAME)
    file = directory / "both.pem"
    file.write_bytes(Path(key).read_bytes() + Path(certificate).read_bytes())
    return file
