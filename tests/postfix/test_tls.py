"""Submission to, and LMTP from, a Postfix that wants TLS and knows who may send what."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

from tests.certificates import Authority
from tests.postfix.config import HOSTNAME
from tests.postfix.sasl import PASSWORD

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.postfix.stage import Stage

pytestmark = [pytest.mark.postfix, pytest.mark.slow]


@pytest.fixture
def secured(
    make_stage: Callable[..., Stage], authority: Authority, sasl: Path, tmp_path: Path
) -> Callable[..., Stage]:
    """A stage whose submission service shows this certificate and wants a login."""

    def make(certificate: tuple[Path, Path], **settings: str) -> Stage:
        logins = tmp_path / "logins"
        logins.write_text(f"@app.test lamson@{HOSTNAME}\n@lists.test lamson@{HOSTNAME}\n")
        secret = tmp_path / "secret"
        secret.write_text(f"{PASSWORD}\n")
        secret.chmod(0o600)
        submission = {
            "smtpd_tls_security_level": "may",
            "smtpd_tls_auth_only": "yes",
            "smtpd_tls_cert_file": str(certificate[0]),
            "smtpd_tls_key_file": str(certificate[1]),
            "smtpd_sasl_auth_enable": "yes",
            "smtpd_sasl_path": "smtpd",
            "smtpd_sasl_local_domain": HOSTNAME,
            "smtpd_sender_login_maps": f"texthash:{logins}",
            "smtpd_sender_restrictions": "reject_sender_login_mismatch",
            "smtpd_relay_restrictions": "permit_sasl_authenticated,reject",
        }
        settings = {
            "SECURITY": "starttls",
            "TLS_NAME": HOSTNAME,
            "CA_FILE": str(authority.certificate),
            "USER": f"lamson@{HOSTNAME}",
            "SECRET_FILE": str(secret),
            **settings,
        }
        environment = {f"LAMSON_SUBMISSION__{key}": value for key, value in settings.items()}
        stage = make_stage(submission=submission, environment=environment)
        # Debian's Postfix looks for it there, whatever cyrus_sasl_config_path says.
        shutil.copytree(sasl, stage.postfix.base / "etc" / "sasl")
        stage.postfix.reload()
        return stage

    return make


def test_mail_goes_out_over_verified_tls_with_a_login(
    secured: Callable[..., Stage], authority: Authority
) -> None:
    stage = secured(authority.issue(HOSTNAME))
    stage.write("zed@sender.test", "counted-one@app.test")
    stage.write("dörte@sender.test", "über-zed@app.test", options="SMTPUTF8 BODY=8BITMIME")
    stage.sink.wait(2)
    stage.settle()
    senders = {message.sender for message in stage.sink.messages}
    assert senders == {"", "über-zed@app.test"}, "a null one, and one of ours for a foreign one"
    assert stage.postfix.log_lines("submission", "sasl_method=", "sasl_username=lamson@")
    assert not stage.postfix.log_lines("reject:")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("name", "its certificate is for another name"),
        ("expired", "its certificate has expired"),
        ("self-signed", "its certificate is self-signed"),
        ("unknown", "certificate"),
        ("password", "535 5.7.8"),
    ],
)
def test_what_cannot_be_trusted_gets_no_mail(
    secured: Callable[..., Stage], authority: Authority, tmp_path: Path, wrong: str, said: str
) -> None:
    settings: dict[str, Any] = {}
    certificate = authority.issue(HOSTNAME)
    if wrong == "name":
        certificate = authority.issue("mail.elsewhere.test")
    elif wrong == "expired":
        certificate = authority.issue(HOSTNAME, expired=True)
    elif wrong == "self-signed":
        certificate = authority.self_signed(HOSTNAME)
    elif wrong == "unknown":
        settings["CA_FILE"] = str(Authority(tmp_path / "other").certificate)
    else:
        (tmp_path / "wrong").write_text("wrong\n")
        (tmp_path / "wrong").chmod(0o600)
        settings["SECRET_FILE"] = str(tmp_path / "wrong")
    stage = secured(certificate, **settings)
    stage.write("zed@sender.test", "counted-one@app.test")
    (line, *_) = stage.lamson.wait_log("deferred", "submission to 127.0.0.1")
    assert said in line
    assert stage.query("select count(*) from lamson_outbox") == [(1,)]
    assert stage.sink.messages == []


def test_lmtp_over_tls_with_a_client_certificate(
    make_stage: Callable[..., Stage], authority: Authority, tmp_path: Path
) -> None:
    certificate, key = authority.issue("lamson.test")
    client, client_key = authority.issue(HOSTNAME)
    stage = make_stage(
        main={
            "lmtp_tls_security_level": "secure",
            "lmtp_tls_CAfile": str(authority.certificate),
            "lmtp_tls_secure_cert_match": "lamson.test",
            "lmtp_tls_cert_file": str(client),
            "lmtp_tls_key_file": str(client_key),
        },
        environment={
            "LAMSON_LMTP__TLS_CERTIFICATE": str(certificate),
            "LAMSON_LMTP__TLS_KEY": str(key),
            "LAMSON_LMTP__CLIENT_CA_FILE": str(authority.certificate),
            "LAMSON_LMTP__ALLOW": "127.0.0.0/8",
        },
    )
    sent = stage.write("zed@sender.test", "counted-one@app.test", "counted-two@app.test")
    stage.sink.wait(2, to="zed@sender.test")
    stage.settle()
    assert stage.lamson.log_lines("handled", sent.queue_id)
    assert stage.postfix.log_lines("postfix/lmtp", "status=sent")


def test_lmtp_over_tls_on_a_unix_socket(
    make_stage: Callable[..., Stage], authority: Authority
) -> None:
    """Without it, which once was what the plan wrote there, all mail would be sent back."""
    certificate, key = authority.issue("lamson.test")
    stage = make_stage(
        unix=True,
        main={"lmtp_tls_security_level": "encrypt"},
        environment={
            "LAMSON_LMTP__TLS_CERTIFICATE": str(certificate),
            "LAMSON_LMTP__TLS_KEY": str(key),
        },
    )
    sent = stage.write("zed@sender.test", "counted-one@app.test")
    stage.sink.wait(1, to="zed@sender.test")
    stage.settle()
    assert stage.lamson.log_lines("handled", sent.queue_id)
    assert stage.postfix.log_lines("postfix/lmtp", "status=sent")
