"""lamson.postfix.checks.smtpd: which services are public, newlines, passwords."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lamson.postfix.checks import smtpd
from lamson.postfix.configuration import Service
from tests.unit.postfix.checks.broken import is_named_and_mended
from tests.unit.postfix.paper import WORLD

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.postfix.paper import Paper

SASL = "587/inet=587 inet n - n - - smtpd -o smtpd_sasl_auth_enable=yes"


@pytest.mark.parametrize(
    ("key", "public", "faces"),
    [
        ("smtp/inet", True, True),
        ("25/inet", True, True),
        (f"{WORLD}/inet", True, True),  # as the settings say
        ("127.0.0.1:10587/inet", False, False),
        ("587/inet", True, False),
        ("smtpd/pass", True, True),
        ("smtp/unix", False, False),
    ],
)
def test_which_are_public(
    paper: Callable[..., Paper], key: str, *, public: bool, faces: bool
) -> None:
    site, name = paper().site(), key.replace("/", " ")
    service = Service(key, f"{name} n - n - - smtpd", {})
    assert smtpd.is_public(site, service) == public
    assert smtpd.faces_the_world(site, service) == faces
    assert not smtpd.is_public(site, Service(key, f"{name} n - n - - postscreen", {}))


def test_passwords_in_clear(paper: Callable[..., Paper]) -> None:
    is_named_and_mended(
        paper(), "password-in-clear", ["-M", f"{SASL} -o smtpd_tls_security_level=may"]
    )


def test_passwords_where_there_is_no_tls(paper: Callable[..., Paper]) -> None:
    """To demand it would shut all users out."""
    one = paper()
    one.run("-M", SASL)
    (finding,) = one.findings()
    assert finding.code == "password-in-clear"
    assert finding.fix.startswith("by hand: give it a certificate")


def test_a_service_may_take_back_what_main_cf_says_of_tls(paper: Callable[..., Paper]) -> None:
    one = paper()
    one.run("-e", "smtpd_tls_auth_only=no", "smtpd_tls_security_level=encrypt")
    one.run("-M", SASL)
    assert "password-in-clear" not in one.codes()
    one.run("-P", "587/inet/smtpd_tls_security_level=")
    assert "password-in-clear" in one.codes()


def test_a_postfix_that_is_too_old_to_keep_smuggled_mail_out(paper: Callable[..., Paper]) -> None:
    one = paper()
    for values in (one.main, one.defaults):
        for name in [name for name in values if name.startswith("smtpd_forbid_bare")]:
            del values[name]
    (finding,) = one.findings()
    assert finding.code == "old-postfix"
    assert "CVE-2023-51764" in finding.why


def test_a_postfix_that_rejects_bare_newlines(paper: Callable[..., Paper]) -> None:
    """That is well too, but for what BDAT brings."""
    one = paper()
    one.run("-e", "smtpd_forbid_bare_newline=reject")
    (finding,) = one.findings()
    assert finding.code == "newline-reject-and-bdat"
    one.run("-e", "smtpd_discard_ehlo_keywords=chunking, silent-discard")
    assert one.findings() == []
    one.run("-X", "smtpd_discard_ehlo_keywords")
    one.cure(finding)
    assert one.findings() == []
