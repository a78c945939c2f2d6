"""lamson.postfix.submission: the service that is wanted, and what one that is there lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lamson.postfix import apply, submission
from lamson.settings import Submission
from tests.unit.postfix.paper import MAIN, project

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.postfix.paper import Paper

HOSTNAME = MAIN["myhostname"]


@pytest.fixture
def certificate(tmp_path: Path) -> str:
    """The line for a file that is there."""
    (tmp_path / "both.pem").touch()
    return f"smtpd_tls_chain_files={tmp_path}/both.pem"


@pytest.fixture
def secured(paper: Callable[..., Paper]) -> Callable[[str], Paper]:
    """A configuration for a project that hands its mail in at this server, with a login."""

    def make(server: str) -> Paper:
        one = paper()
        own = Submission(server, user="lamson", security="starttls")
        one.settings = project(submission=own)
        return one

    return make


def test_without_a_certificate_nothing_is_written(secured: Callable[[str], Paper]) -> None:
    one = secured("127.0.0.1:20587")
    assert one.apply() is None
    (change,) = one.changes()
    assert "smtpd_tls_chain_files" in change.doubt
    one.run("-e", "smtpd_tls_chain_files=/etc/lamson/both.pem")
    rollback = one.apply()
    assert rollback is not None
    assert one.changes() == []
    apply.undo(one.postconf, rollback)
    assert "127.0.0.1:20587/inet" not in one.master


@pytest.mark.parametrize(
    ("server", "key", "is_ours"),
    [
        (f"{HOSTNAME}:587", "submission/inet", True),
        (f"{HOSTNAME}:465", "465/inet", True),
        ("127.0.0.1:587", "127.0.0.1:587/inet", True),
        ("mail.elsewhere.test:587", "", False),
    ],
)
def test_the_service_is_written_where_it_is_this_postfix(
    secured: Callable[[str], Paper], certificate: str, server: str, key: str, *, is_ours: bool
) -> None:
    one = secured(server)
    one.run("-e", certificate)
    one.apply()
    assert (key in one.master) == is_ours
    remark = submission.remark(one.site())
    if is_ours:
        options = one.read().services[key].options
        assert options["smtpd_tls_security_level"] == "encrypt"
        maps = options["smtpd_sender_login_maps"]
        assert maps == "inline:{@app.test=lamson},inline:{@lists.test=lamson}"
        assert remark is None
    else:
        assert remark is not None
        assert f"not this Postfix (myhostname is {HOSTNAME})" in remark
    assert one.findings() == []


def test_a_service_that_is_there_is_left_alone_and_told(
    secured: Callable[[str], Paper], certificate: str
) -> None:
    one = secured(f"{HOSTNAME}:587")
    entry = "submission inet n - y - - smtpd -o smtpd_relay_restrictions=reject"
    one.run("-M", f"submission/inet={entry}")
    one.run("-e", certificate)
    assert one.changes() == []
    one.apply()
    assert one.entry("submission/inet") == entry
    found = one.findings()
    assert {finding.code for finding in found} == {"submission-service"}
    lacks = " ".join(finding.problem for finding in found)
    for setting in ("smtpd_tls_security_level=", "smtpd_sasl_auth_enable=", "relay"):
        assert setting in lacks
    for finding in found:
        one.cure(finding)
    assert one.findings() == []
    one.run("-PX", "submission/inet/smtpd_tls_security_level")
    one.run("-e", "smtpd_tls_auth_only=yes")
    assert one.codes() == ["submission-service"]
    one.run("-e", "smtpd_use_tls=yes", "smtpd_tls_security_level=")
    assert one.findings() == [], "as Postfix 2 had it, and still takes it"
    one.run("-X", "smtpd_tls_chain_files")
    assert one.codes() == ["submission-certificate"]
