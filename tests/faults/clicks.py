"""Faults that end a worker while somebody writes twice to an address that counts once."""

from __future__ import annotations

import smtplib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from lamson import failpoint
from lamson.routing.signing import Signed, Signer
from tests.faults.fault import NO_REDEMPTION, Fault
from tests.faults.load import DOMAIN
from tests.postfix.sender import letter
from tests.waiting import wait_for

if TYPE_CHECKING:
    from tests.faults.rig import Rig

ADDRESSES = 6  # at a strike
_KEY = "the-key-of-the-project-under-faults"
_CLICK = Signed("click", once=True)


def _at(name: str, title: str) -> Fault:
    def prepare(rig: Rig) -> None:
        tokens = rig.project.parent / "tokens"
        tokens.mkdir()
        rig.environment["LAMSON_HANDLERS"] = "app.handlers.counting,app.handlers.clicks"
        rig.environment["LAMSON_SIGNING__SECRET"] = _KEY
        rig.environment["FAULTS_FAILPOINT"] = name
        rig.environment["FAULTS_FAILPOINT_PASSES"] = "1"
        rig.environment["FAULTS_FAILPOINT_DIR"] = str(tokens)

    def inject(rig: Rig) -> None:
        rig.load.wait()
        wait_for(lambda: not rig.postfix.queue(), "the load to be through", timeout=rig.patience)
        token = rig.project.parent / "tokens" / "one"
        token.touch()
        _click(rig)
        wait_for(lambda: not token.exists(), f"a worker to die at {name}", timeout=rig.patience)

    return Fault(
        name=f"clicked-twice-{name}",
        title=f"`kill -9` of a worker {title}, two mails to each address that counts once",
        prepare=prepare,
        inject=inject,
        check=_check_once,
        weakness=NO_REDEMPTION,
        why_not_twice="the mails of the load are to addresses that count often",
        keeps=True,
        nodes=2,
    )


def _click(rig: Rig) -> None:
    """Two mails at a time, which go to different nodes."""
    signer = Signer(lambda: (_KEY.encode(),))
    tokens = [signer.sign(_CLICK, f"{rig.injected}-{number}") for number in range(ADDRESSES)]

    def write(number: int) -> None:
        with smtplib.SMTP("127.0.0.1", rig.postfix.smtp_port, "load.test") as client:
            for token in tokens:
                to = f"click-{token}-{number}@{DOMAIN}"
                client.sendmail("", to, letter("somebody@world.test", to, "click"))

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(write, (1, 2)))


def _check_once(rig: Rig) -> str:
    """Of the two mails to each address one was handled, and the other kept: no bounce goes out.

    It is kept before the commit, so where that fails once more, perhaps by the other node.
    """
    expected = {
        f"{strike}-{number}" for strike in range(rig.injected) for number in range(ADDRESSES)
    }
    found = Counter(rig.store.clicks())
    lost, again = expected - found.keys(), found - Counter(found.keys())
    bounced = len(rig.postfix.log_lines("to=<click-", "status=bounced"))
    kept = rig.undeliverable()
    if not lost and not again and not bounced and kept >= len(expected):
        return ""
    return (
        f"of {len(expected)} tokens {len(lost)} were not redeemed, {again.total()} once too often,"
        f" {kept} mails were kept and {bounced} bounced"
    )


FAULTS = [
    _at(failpoint.AFTER_HANDLER, "after the handler"),
    _at(failpoint.AFTER_COMMIT, "after COMMIT"),
]
