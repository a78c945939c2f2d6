"""Two applications on one Postfix: neither has what is the other's, nor waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.postfix.setups import relays
from tests.postfix.setups.application import KNOWN, UNKNOWN, Application
from tests.postfix.setups.gate import Gate
from tests.postfix.setups.mail import code, is_same, send_all
from tests.postfix.socketmap import SocketmapServer

if TYPE_CHECKING:
    from tests.postfix.setups.servers import Town
    from tests.postfix.setups.town import SetupPostfix

pytestmark = [pytest.mark.postfix, pytest.mark.slow]

SECOND, NOBODY = "users@second.test", "nobody@second.test"


@pytest.mark.parametrize("postfix", [relays.backup, relays.listed], indirect=True)
def test_two_applications(town: Town, postfix: SetupPostfix) -> None:
    old = postfix.setup.old
    with (
        SocketmapServer(SECOND) as server,
        Gate(town.lamson.port) as lmtp,
        Gate(town.socketmap) as socketmap,
        Gate(town.sinks["lists"].port) as its_lmtp,
        Gate(server.port) as its_socketmap,
    ):
        bare, before = postfix.files(), send_all(postfix, town, old)
        first = Application(postfix, lmtp, socketmap, town.submission)
        undo_first = first.apply()
        alone = postfix.files()
        route = r"users@second\.test"
        places = (postfix, its_lmtp, its_socketmap, town.submission)
        doubts = [one.doubt for one in Application(*places, route=route).plan() if one.doubt]
        name = "lamson-second-test"
        assert f"Postfix(transport='{name}')" in doubts[-1], "the name is taken"
        second = Application(*places, route=route, transport=name)
        undo_second = second.apply()
        postfix.reread()

        is_same(send_all(postfix, town, old), before)
        codes = [code(postfix, one) for one in (KNOWN, UNKNOWN, SECOND, NOBODY)]
        assert codes == [250, 550, 250, 550]
        town.sinks["lists"].wait(to=SECOND)
        assert (first.check(), second.inspect()) == ([], [])
        its_files = {path.name for path in (postfix.etc / "lamson").iterdir()}
        assert {path.partition("-")[0] for path in its_files} == {"rollback"}

        second.close()
        is_same(send_all(postfix, town, old), before)
        assert [code(postfix, one) for one in (KNOWN, UNKNOWN, SECOND)] == [250, 550, 451]
        assert first.check() == []
        second.open()
        first.close()
        is_same(send_all(postfix, town, old), before)
        assert [code(postfix, one) for one in (KNOWN, SECOND, NOBODY)] == [451, 250, 550]
        first.open()

        second.undo(undo_second)
        assert postfix.files() == alone
        postfix.reread()
        assert [code(postfix, one) for one in (KNOWN, UNKNOWN, SECOND)] == [250, 550, 554]
        first.undo(undo_first)
        assert postfix.files() == bare
        postfix.reread()
        is_same(send_all(postfix, town, old), before)
