"""postscreen on port 25: it takes mail as smtpd does, and nothing of ours takes it away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lamson.settings import Submission
from tests.postfix.instance import why_not
from tests.postfix.patient import project
from tests.waiting import free_port

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.postfix.patient import Patient

pytestmark = [
    pytest.mark.postfix,
    pytest.mark.skipif(why_not() is not None, reason=why_not() or "Postfix is here"),
]


def test_postscreen_takes_our_mail_as_smtpd_does(patient: Callable[..., Patient]) -> None:
    port = free_port()
    one = patient(project(submission=Submission(f"127.0.0.1:{port}")))
    one.run("-MX", f"127.0.0.1:{port}/inet")
    one.run("-M", f"{port}/inet={port} inet n - n - 1 postscreen")
    one.run("-M", "smtpd/pass=smtpd pass - - n - - smtpd")
    before = one.services()
    assert one.changes() == []
    assert one.codes() == []
    one.apply()
    assert one.services() == before


def test_another_service_at_our_address_is_never_replaced_by_a_command(
    patient: Callable[..., Patient],
) -> None:
    one = patient()
    one.run("-M", "127.0.0.1:10587/inet=127.0.0.1:10587 inet n - n - - qmqpd")
    (finding,) = one.findings()
    assert finding.fix == (
        "by hand, as apply leaves it to you: another service, qmqpd, has this address"
    )
