"""The doctor on a master.cf that overrides what a right main.cf says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.postfix.instance import why_not
from tests.postfix.patient import project

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.postfix.patient import Patient

pytestmark = [
    pytest.mark.postfix,
    pytest.mark.skipif(why_not() is not None, reason=why_not() or "Postfix is here"),
]

# Some of those on paper, in tests/unit/postfix/checks; {world} stands for the service that takes
# mail from the world.
OVERRIDES = {
    "{world}/smtpd_forbid_bare_newline=no": "master-cf-override",
    "{world}/smtpd_reject_unlisted_recipient=no": "unlisted-recipients-are-taken",
    "lamson/unix/lmtp_tls_security_level=encrypt": "lmtp-tls",
    "rewrite/unix/transport_maps=": "master-cf-override",
}


@pytest.mark.parametrize("override", OVERRIDES)
def test_it_is_named_and_its_cure_mends_it(patient: Callable[..., Patient], override: str) -> None:
    one = patient()
    one.settings = project(postfix={"smtpd": f"127.0.0.1:{one.postfix.smtp_port}"})
    assert one.findings() == []
    one.run("-P", override.format(world=f"127.0.0.1:{one.postfix.smtp_port}/inet"))
    (finding,) = one.findings()
    assert finding.code == OVERRIDES[override]
    one.cure(finding)
    assert one.findings() == []
