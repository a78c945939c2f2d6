"""The doctor on what keeps Postfix's LMTP client from our LMTP server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lamson.settings import Lmtp
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
        (["-MX", "lamson/unix"], "lamson"),
        (["-e", "master_service_disable=unix"], "lmtp-disabled"),
        (["-P", "lamson/unix/lmtp_tls_security_level=secure"], "lmtp-tls"),
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


def test_a_chroot_by_the_default_of_old_configurations(
    patient: Callable[..., Patient], tmp_path: Path
) -> None:
    one = patient(project(lmtp=Lmtp(f"unix:{tmp_path}/lmtp.sock")))
    one.run("-F", "lamson/unix/chroot=-")
    assert one.codes() == []
    restrictions = one.value("smtpd_relay_restrictions")
    one.run("-e", "compatibility_level=0", f"smtpd_relay_restrictions={restrictions}")
    one.run("-e", f"relay_domains={one.value('relay_domains')}")
    (finding,) = [one for one in one.findings() if "chroot" in one.code]
    assert finding.code == "lmtp-chroot"
    one.cure(finding)
    assert "lmtp-chroot" not in one.codes()
