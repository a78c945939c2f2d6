"""The doctor on what keeps Postfix's LMTP client from our LMTP server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lamson.settings.model import Lmtp, Socketmap
from tests.postfix.instance import why_not
from tests.postfix.patient import project

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.postfix.patient import Patient

pytestmark = [
    pytest.mark.postfix,
    pytest.mark.skipif(why_not() is not None, reason=why_not() or "Postfix is here"),
]


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        (["-e", "defer_transports=smtp, lmtp"], "transport-deferred"),
        (["-M", "lmtp/unix=lmtp unix - - n - - smtp"], "no-lmtp-client"),
        (["-e", "master_service_disable=!smtp/unix, lmtp/unix, fifo"], "lmtp-disabled"),
        (["-e", "master_service_disable=unix"], "lmtp-disabled"),
        (["-e", "lmtp_tls_security_level=secure"], "lmtp-tls"),
        (["-e", "lmtp_enforce_tls=yes"], "lmtp-tls"),
        (["-e", "smtpd_reject_unlisted_recipient=no"], "unlisted-recipients-are-taken"),
    ],
)
def test_it_is_named_and_its_cure_mends_it(
    patient: Callable[..., Patient], broken: list[str], code: str
) -> None:
    one = patient()
    one.settings = project(postfix={"smtpd": f"127.0.0.1:{one.postfix.smtp_port}"})
    one.run(*broken)
    (finding,) = one.findings()
    assert finding.code == code
    one.cure(finding)
    assert one.findings() == []


def test_a_list_of_what_is_disabled_is_read_from_its_begin(
    patient: Callable[..., Patient],
) -> None:
    one = patient()
    one.run("-e", "master_service_disable=!lmtp/unix, unix, inet")
    assert one.codes() == []


def test_tls_on_our_side_alone(patient: Callable[..., Patient], tmp_path: Path) -> None:
    """Without STARTTLS each transaction is answered 530, for which Postfix bounces."""
    one = patient()
    for name in ("cert", "key"):
        (tmp_path / name).touch(mode=0o600)
    one.settings = project(
        lmtp=Lmtp("127.0.0.1:8823", tls_certificate=tmp_path / "cert", tls_key=tmp_path / "key")
    )
    (finding,) = one.findings()
    assert finding.code == "lmtp-tls"
    one.cure(finding)
    assert one.findings() == []
    one.run("-e", "lmtp_tls_security_level=may")
    assert one.findings() == []
    one.run("-e", "lmtp_tls_security_level=", "lmtp_tls_policy_maps=inline:{x=secure}")
    assert one.findings() == [], "whatever the table says"


def test_protocols_that_postfix_is_not_to_speak(patient: Callable[..., Patient]) -> None:
    one = patient()
    one.run("-e", "inet_protocols=ipv6")
    assert one.codes() == ["inet-protocols", "inet-protocols"]
    one.run("-e", "inet_protocols=ipv4")
    assert one.codes() == []
    one.settings = project(lmtp=Lmtp("[::1]:8823"), socketmap=Socketmap("[::1]:8824"))
    one.run("-X", "relay_recipient_maps")
    one.apply()
    found = one.findings()
    assert [finding.code for finding in found] == ["inet-protocols", "inet-protocols"]
    assert found[0].fix.startswith(
        f"postconf {one.postconf.mend.option}-e 'inet_protocols = all' && "
    )
    assert "stop && " in found[0].fix, "a reload is not enough for it"
    one.run("-e", "inet_protocols=all")
    assert one.codes() == []


def test_a_chroot_by_the_default_of_old_configurations(
    patient: Callable[..., Patient], tmp_path: Path
) -> None:
    one = patient(project(lmtp=Lmtp(f"unix:{tmp_path}/lmtp.sock")))
    one.run("-F", "lmtp/unix/chroot=-")
    assert one.codes() == []
    restrictions = one.value("smtpd_relay_restrictions")
    one.run("-e", "compatibility_level=0", f"smtpd_relay_restrictions={restrictions}")
    one.run("-e", f"relay_domains={one.value('relay_domains')}")
    (finding,) = [one for one in one.findings() if "chroot" in one.code]
    assert finding.code == "lmtp-chroot"
    one.cure(finding)
    assert "lmtp-chroot" not in one.codes()
