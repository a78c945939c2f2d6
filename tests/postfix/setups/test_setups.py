"""Existing set-ups: mail to all their old destinations, before us, with us, while we are stopped,
and after `lamson postfix apply -undo`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.postfix.setups import boxes, filters, hosts, relays
from tests.postfix.setups.application import KNOWN, UNKNOWN, Application
from tests.postfix.setups.gate import Gate
from tests.postfix.setups.mail import Seen, code, is_same, send_all
from tests.postfix.setups.setup import STRANGER, Setup

if TYPE_CHECKING:
    from pathlib import Path

    from tests.postfix.setups.servers import Town
    from tests.postfix.setups.town import SetupPostfix
    from tests.postfix.sink import Delivered

pytestmark = [pytest.mark.postfix, pytest.mark.slow]

SETUPS = {one.name: one for module in (hosts, relays, boxes, filters) for one in module.SETUPS}


def is_as_its_guide_says(setup: Setup, seen: Seen) -> None:
    for number, old in enumerate(setup.old):
        name = f"old {number}"
        answers = seen.answers[name]
        if isinstance(old.to, int):
            assert answers["RCPT"][0] == old.to, (old, answers)
            continue
        if old.to == "bounce":
            assert name in seen.bounced, (old, seen.bounced)
            continue
        recipient = "" if old.to.startswith("mbox ") else old.becomes or old.address
        assert (old.to, recipient) in seen.places(name), (old, answers, seen.places(name))


def sockets(postfix: SetupPostfix) -> tuple[Path, Path]:
    """Where Lamson listens within the chroot."""
    directory = postfix.base / "queue" / "lamson"
    directory.mkdir()
    directory.chmod(0o755)
    return directory / "lmtp", directory / "socketmap"


def is_our_answer(mail: Delivered) -> bool:
    return b"Counted one" in mail.content


@pytest.mark.parametrize("postfix", SETUPS.values(), ids=SETUPS, indirect=True)
def test_nobody_notices(town: Town, postfix: SetupPostfix) -> None:
    setup = postfix.setup
    files, before = postfix.files(), send_all(postfix, town, setup.old)
    is_as_its_guide_says(setup, before)
    refused = code(postfix, KNOWN)
    places = sockets(postfix) if setup.sockets else (None, None)
    with Gate(town.lamson.port, places[0]) as lmtp, Gate(town.socketmap, places[1]) as socketmap:
        application = Application(postfix, lmtp, socketmap, town.submission)
        rollback = application.apply()
        postfix.reread()
        is_same(send_all(postfix, town, setup.old), before)
        assert [code(postfix, KNOWN), code(postfix, UNKNOWN)] == [250, 550]
        [answer] = town.sinks[setup.outside].wait(to=STRANGER, where=is_our_answer)
        assert answer.message["From"] == KNOWN
        assert application.check() == []
        application.close()
        is_same(send_all(postfix, town, setup.old), before)
        assert code(postfix, KNOWN) == 451
        assert code(postfix, UNKNOWN) == (550 if setup.remembers else 451)
    application.undo(rollback)
    assert postfix.files() == files
    postfix.reread()
    is_same(send_all(postfix, town, setup.old), before)
    assert code(postfix, KNOWN) == refused
