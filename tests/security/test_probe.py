"""A stranger and the reserved addresses: he gets nothing by their name."""

from __future__ import annotations

import smtplib
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from lamson.routing.reserved import PREFIX, Way
from lamson.settings.reserved import reserved_of
from tests.postfix.conftest import asked, make_postfix, make_stage, sink, stories_project
from tests.postfix.instance import why_not
from tests.waiting import wait_for

if TYPE_CHECKING:
    from lamson.settings.model import Settings
    from tests.postfix.stage import Stage

__all__ = ["asked", "make_postfix", "make_stage", "sink", "stories_project"]  # fixtures

pytestmark = [
    pytest.mark.postfix,
    pytest.mark.slow,
    pytest.mark.skipif(why_not() is not None, reason=why_not() or "Postfix is here"),
]


def test_a_stranger_gets_nothing_by_the_reserved_name(asked: tuple[Stage, Settings]) -> None:
    """Refused as unknown where the token is made up, old or for another domain; and a token that
    somebody has seen has Lamson answer once, to itself."""
    stage, settings = asked
    reserved = reserved_of(settings)
    old = reserved_of(settings)
    old._clock = lambda: 1_000_000_000.0
    token = reserved.token(Way.IN)
    good = reserved.address(token, "app.test")
    bad = [
        f"{PREFIX}x@app.test",
        f"{PREFIX}{'i' + 'a' * 34}@app.test",
        good.replace("@app.test", "@lists.test"),
        good.replace(PREFIX + "i", PREFIX + "o"),
        old.address(old.token(Way.IN), "app.test"),
        good[: good.index("@") - 1] + "@app.test",
    ]
    with smtplib.SMTP("127.0.0.1", stage.postfix.smtp_port) as client:
        client.ehlo("stranger.test")
        client.mail("victim@victim.test")
        for address in bad:
            code, text = client.rcpt(address)
            assert (code, b"User unknown" in text) == (550, True), address
        with closing(smtplib.LMTP("127.0.0.1", stage.lamson.port)) as direct:
            direct.ehlo("stranger.test")
            direct.mail("victim@victim.test")
            assert {direct.rcpt(address)[0] for address in bad} == {550}
        for _ in range(3):
            client.rset()
            assert client.sendmail("victim@victim.test", [good], "Subject: again\n\nx\n") == {}
    stage.settle()
    wait_for(lambda: stage.query("select name from lamson_probes where name like '%.o'"), "an end")
    stage.settle()
    assert stage.query("select count(*) from lamson_probes") == [(2,)], "one in, one answer"
    assert stage.sink.messages == [], "nobody else was written to"
