"""The doctor verifies certificates as Postfix's LMTP client does, against servers with real TLS."""

from __future__ import annotations

import hashlib
import ssl
from typing import TYPE_CHECKING

import pytest

from lamson.net.tls import server_context
from lamson.postfix.checks import arrival, certificates, handing_in
from lamson.settings import Lmtp, Submission
from tests.certificates import Authority
from tests.server.answering import Smtp, answering
from tests.unit.postfix.paper import WORLD, Paper, project

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Try = Callable[..., list[str]]

NAME = "lamson.test"
WITH_TLS = {"LHLO": "250-mail.test\r\n250 STARTTLS", "EHLO": "250-mail.test\r\n250 STARTTLS"}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def tried(tmp_path: Path) -> Try:
    """Tries a next hop that shows this certificate; ``options`` are those of the transport."""

    def attempt(shown: tuple[Path, Path], *options: str, table: str = "") -> list[str]:
        talk = Smtp(WITH_TLS, context=server_context(*shown))
        with answering(talk) as port:
            hop = f"lamson:inet:[127.0.0.1]:{port}"
            paper = Paper(tmp_path / "tables")
            paper.settings = project(
                lmtp=Lmtp("127.0.0.1:8823", tls_certificate=shown[0], tls_key=shown[1]),
                postfix={"smtpd": WORLD, "next_hop": hop},
            )
            paper.main["transport_maps"] = f"inline:{{app.test={hop} lists.test={hop}}}"
            for one in options:
                paper.run("-P", f"lamson/unix/lmtp_tls_{one}")
            paper.tables["hash:/policy"] = {f"[127.0.0.1]:{port}": table} if table else {}
            return [f"{one.code} {one}" for one in arrival.findings(paper.site())]

    return attempt


def fingerprint(certificate: Path) -> str:
    der = ssl.PEM_cert_to_DER_cert(certificate.read_text())
    return hashlib.sha256(der).hexdigest()


def test_what_postfix_does_not_verify_is_not_verified(tried: Try, authority: Authority) -> None:
    expired = authority.issue(NAME, expired=True)
    for level in ("none", "may", "encrypt"):
        assert tried(expired, f"security_level={level}") == []


def test_the_chain_is_verified(tried: Try, authority: Authority) -> None:
    trusting = f"CAfile={authority.certificate}"
    match = f"secure_cert_match={NAME}"
    secure = "security_level=secure"
    assert tried(authority.issue(NAME), secure, trusting, match) == []
    for shown, options, said in (
        (authority.issue(NAME, expired=True), (trusting,), "has expired"),
        (authority.issue(NAME), (), "lmtp_tls_CAfile"),
        (authority.self_signed(NAME), (trusting,), "self-signed"),
    ):
        (one,) = tried(shown, secure, match, *options)
        assert one.startswith("lmtp-certificate ")
        assert said in one


@pytest.mark.parametrize(
    ("options", "is_right"),
    [
        (["security_level=secure", f"secure_cert_match={NAME}"], True),
        (["security_level=secure", "secure_cert_match=nexthop, .test"], True),
        (["security_level=secure", "secure_cert_match=nexthop"], False),
        (["security_level=secure", f"secure_cert_match=.{NAME}"], False),
        (["security_level=verify", "verify_cert_match=hostname"], False),
        (["security_level=verify", f"verify_cert_match={NAME}"], True),
    ],
)
def test_the_name_is_verified(
    tried: Try, authority: Authority, options: list[str], *, is_right: bool
) -> None:
    found = tried(authority.issue(NAME), f"CAfile={authority.certificate}", *options)
    assert [one.partition(" ")[0] for one in found] == ["lmtp-certificate-name"] * (not is_right)
    assert is_right or NAME in found[0]


def test_a_policy_for_the_next_hop_wins(tried: Try, authority: Authority) -> None:
    options = "security_level=none", "policy_maps=hash:/policy", f"CAfile={authority.certificate}"
    shown = authority.issue(NAME)
    assert tried(shown, *options, table=f"secure match={NAME}") == []
    (one,) = tried(shown, *options, table="secure match=other.test")
    assert one.startswith("lmtp-certificate-name ")


def test_the_fingerprint_is_compared(tried: Try, authority: Authority) -> None:
    shown, other = authority.issue(NAME), authority.issue(NAME)
    options = "security_level=fingerprint", "fingerprint_digest=sha256"
    known = f"fingerprint_cert_match={fingerprint(other[0])}, {fingerprint(shown[0])}"
    assert tried(shown, *options, known) == []
    (one,) = tried(shown, *options, f"fingerprint_cert_match={fingerprint(other[0])}")
    assert one.startswith("lmtp-certificate ")


def test_one_that_will_soon_be_over(tried: Try, authority: Authority, tmp_path: Path) -> None:
    soon = authority.issue(NAME, days=certificates.SOON - 2)
    secure = "security_level=secure", f"secure_cert_match={NAME}"
    (one,) = tried(soon, *secure, f"CAfile={authority.certificate}")
    assert one.startswith("certificate-expires ")
    assert f"valid for {certificates.SOON - 3} more days" in one
    with answering(Smtp(WITH_TLS, context=server_context(*soon))) as port:
        paper = Paper(tmp_path / "tables")
        paper.settings = project(
            submission=Submission(
                f"127.0.0.1:{port}",
                security="starttls",
                ca_file=authority.certificate,
                tls_name=NAME,
            )
        )
        assert [one.code for one in handing_in.findings(paper.site())] == ["certificate-expires"]
