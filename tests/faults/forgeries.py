"""Faults that somebody else on the LMTP port makes: he claims the queue id of mail that waits."""

from __future__ import annotations

import smtplib
from typing import TYPE_CHECKING, Any

from tests.faults.fault import ANY_CONTENT, Fault
from tests.faults.load import DOMAIN
from tests.faults.proxy import Rule
from tests.postfix.sender import letter
from tests.waiting import wait_for

if TYPE_CHECKING:
    from tests.faults.rig import Rig

_NOTICED = "a message with another content was handled under this queue id"


def _through_proxy(rig: Rig) -> None:
    rig.lmtp_rule = Rule()


def _forge(rig: Rig) -> None:
    """Lamson is out of reach for Postfix; meanwhile other mail comes as that which waits."""
    for proxy in rig.lmtp_proxies:
        proxy.close()
    try:
        rig.send_held_back()
        rig.load.wait()
        waiting = wait_for(lambda: _waiting(rig), "mail to wait", timeout=rig.patience)
        _deliver(rig, waiting[-1])
    finally:
        for proxy in rig.lmtp_proxies:
            proxy.open()


def _waiting(rig: Rig) -> list[dict[str, Any]]:
    """What Postfix cannot hand over, the latest last."""
    # A mail whose last recipient was served has none for the moment that it still is in the queue.
    found = [one for one in rig.postfix.queue() if one["recipients"]]
    ours = [one for one in found if one["recipients"][0]["address"].endswith(DOMAIN)]
    return sorted(ours, key=lambda one: str(one["queue_id"]))


def _deliver(rig: Rig, mail: dict[str, Any]) -> None:
    """All is as in the mail that waits, but for the content."""
    name, to = f"forged-{rig.injected:06d}", mail["recipients"][0]["address"]
    with smtplib.LMTP("127.0.0.1", rig.turn.port, local_hostname="forger.test") as client:
        client.ehlo("forger.test")
        code, answer = client.docmd("XFORWARD", f"IDENT={mail['queue_id']} SOURCE=REMOTE")
        assert code == 250, answer
        client.sendmail(mail["sender"], to, letter(mail["sender"], to, name))
    rig.forged.append((name, to))


def _check_noticed(rig: Rig) -> str:
    """Each of them was told of, when the mail that waited came, or for one that came before."""
    noticed = len(rig.log_lines(_NOTICED))
    if noticed >= len(rig.forged):
        return ""
    return f"{len(rig.forged)} forged, {noticed} noticed"


FAULTS = [
    Fault(
        name="forged",
        title="other mail under the queue id, sender and recipient of mail that waits",
        prepare=_through_proxy,
        inject=_forge,
        check=_check_noticed,
        weakness=ANY_CONTENT,
        why_not_twice="the mail that waits is taken for a repetition",
        nodes=2,
    ),
]
