"""Mail goes to Lamson by a service of its own, whatever the site has for its other LMTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lamson.postfix import apply, plan, submission, transport, wanted
from lamson.postfix.checks import inspection
from lamson.postfix.postconf import Postconf
from lamson.settings import Lmtp, Submission
from tests.postfix.patient import project, site_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.postfix.stage import Stage

pytestmark = [pytest.mark.postfix, pytest.mark.slow]

# For a mailbox server; what apply would once have changed, or what kept mail from us.
SITE = {
    "lmtp_send_xforward_command": "no",
    "lmtp_destination_concurrency_limit": "2",
    "lmtp_tls_security_level": "encrypt",
    "lmtp_data_done_timeout": "30s",
    "message_size_limit": "20000000",
    "smtputf8_enable": "no",
    "milter_default_action": "accept",
}


def test_a_site_keeps_what_it_has_for_other_mail(make_stage: Callable[..., Stage]) -> None:
    stage = make_stage(main=SITE)
    etc = stage.postfix.base / "etc"
    settings = project(
        lmtp=Lmtp(f"127.0.0.1:{stage.lamson.port}"),
        submission=Submission(f"127.0.0.1:{stage.postfix.submission_port}"),
        postfix={"smtpd": f"127.0.0.1:{stage.postfix.smtp_port}"},
    )
    site, postconf = site_of(settings, etc), Postconf(etc)
    # Who the recipients are is for another test: the stage asks no map.
    wants = [one for one in wanted.of_main(site) if one.name != "relay_recipient_maps"]
    services = [*transport.wanted(site), *submission.wanted(site)]
    rollback = apply.carry_out(postconf, plan.make(site, wants, services), etc / "lamson")
    site = site.again(postconf)
    assert {name: site.get(name) for name in SITE} == SITE
    assert {one.code for one in inspection.findings(site)} <= {"relay_recipient_maps"}
    stage.postfix.stop()
    stage.postfix.start()
    sent = stage.write("zed@sender.test", "counted-one@app.test", content=b"a: b\r\n\r\n" + LINE)
    assert stage.lamson.wait_log("handled", sent.queue_id), "it was told the queue id"
    stage.postfix.wait_log(f"{sent.queue_id}: to=<counted-one@app.test>", "status=sent")
    assert rollback is not None
    apply.undo(postconf, rollback)
    assert "lamson/unix" not in postconf.read().services


LINE = b"x" * 5_000 + b"\r\n"
