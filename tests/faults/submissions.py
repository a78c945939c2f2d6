"""Faults between Lamson and the Postfix that takes its replies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.faults.fault import FORGETFUL_OUTBOX, NO_ORDER, NOTHING_KEPT, POSTGRES, Fault
from tests.faults.proxy import NoFinalReply, Rule
from tests.waiting import wait_for

if TYPE_CHECKING:
    from tests.faults.rig import Rig

COPY = "copy@world.test"  # the second recipient of every reply, where one is refused

_ANSWERED = "Postfix has had its reply to the mail already"


def _through_proxy(rig: Rig) -> None:
    rig.submission_rule = Rule()


def _down(rig: Rig) -> None:
    before = len(rig.log_lines(" deferred "))
    rig.submission_proxy.close()
    wait_for(lambda: len(rig.log_lines(" deferred ")) > before, "a reply to be put off")
    rig.submission_proxy.open()


def _cut_final_reply(rig: Rig) -> None:
    rig.submission_rule = NoFinalReply()


def _lose_reply(rig: Rig) -> None:
    rule = rig.submission_rule
    assert rule is not None
    before = rule.struck
    rule.arm()
    wait_for(lambda: rule.struck > before, "a final reply to be lost", timeout=rig.patience)


def _with_policy(rig: Rig) -> None:
    service = f"check_policy_service inet:127.0.0.1:{rig.policy.port}"
    rig.submission_main["smtpd_recipient_restrictions"] = f"{service} permit_mynetworks reject"


def _with_copies(rig: Rig) -> None:
    _with_policy(rig)
    rig.environment["FAULTS_COPY"] = COPY


def _refuse_for_now(rig: Rig) -> None:
    _refuse(rig, "451 4.3.0 not now", "")


def _refuse_one_for_good(rig: Rig) -> None:
    _refuse(rig, "550 5.1.1 nobody here by that name", COPY)


def _refuse(rig: Rig, reply: str, recipient: str) -> None:
    before = rig.policy.refused
    rig.policy.refuse(reply, recipient=recipient)
    wait_for(lambda: rig.policy.refused > before, "a recipient to be refused", timeout=rig.patience)


def _check_kept(rig: Rig) -> str:
    """What was refused for good is kept, each once; all other copies came out."""
    refused, kept = rig.policy.refused, rig.undeliverable()
    copies = {mail.message["Message-ID"] for mail in rig.sink.to(COPY)}
    if kept == refused and len(copies) + refused == len(rig.store.effects()):
        return ""
    return f"{refused} refused, {kept} kept, {len(copies)} others came out"


FAULTS = [
    Fault(
        name="submission-down",
        title="submission refuses connections",
        long_on=POSTGRES,
        prepare=_through_proxy,
        inject=_down,
        weakness=FORGETFUL_OUTBOX,
        why_not_twice=_ANSWERED,
    ),
    Fault(
        name="submission-4xx",
        title="submission answers 451",
        long_on=POSTGRES,
        prepare=_with_policy,
        inject=_refuse_for_now,
        weakness=FORGETFUL_OUTBOX,
        why_not_twice=_ANSWERED,
        also=(NO_ORDER,),
        nodes=2,
    ),
    Fault(
        name="submission-5xx",
        title="submission answers 550 for one of two recipients",
        prepare=_with_copies,
        inject=_refuse_one_for_good,
        check=_check_kept,
        keeps=True,
        weakness=NOTHING_KEPT,
        why_not_twice=_ANSWERED,
    ),
    Fault(
        name="submission-reply-lost",
        title="submission's final 250 lost",
        long_on=POSTGRES,
        prepare=_cut_final_reply,
        inject=_lose_reply,
        weakness=FORGETFUL_OUTBOX,
        why_not_twice=_ANSWERED,
        nodes=2,
    ),
]
