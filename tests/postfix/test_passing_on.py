"""What an application passes on, through a real Postfix in and out: to many, and signed."""

from __future__ import annotations

import base64
import subprocess
from collections import Counter
from typing import TYPE_CHECKING

import dkim
import pytest

from tests.postfix.sender import letter
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.postfix.sink import Sink
    from tests.postfix.stage import Stage

pytestmark = [pytest.mark.postfix, pytest.mark.slow, pytest.mark.timeout(300)]

MEMBERS = 10_000
FEWER = 3_000  # where the service is killed and started meanwhile
# The transport of our own has the first; the second is for the way out (see docs/postfix.md).
NO_LIMIT = {"lmtp_line_length_limit": "0", "smtp_line_length_limit": "0"}


def copies(sink: Sink) -> Counter[str]:
    """How often each member got it."""
    return Counter(one for message in list(sink.messages) for one in message.recipients)


def wait_for_more(sink: Sink, number: int) -> None:
    """Wait until so many more of the members have it."""
    enough = min(len(copies(sink)) + number, FEWER)
    wait_for(lambda: len(copies(sink)) >= enough, f"{number} more to have it")


def test_a_list_of_ten_thousand_gets_one_copy_each(stage: Stage) -> None:
    stage.write("zed@sender.test", f"everybody-{MEMBERS}@app.test", subject="News")
    wait_for(
        lambda: len(copies(stage.sink)) == MEMBERS,
        lambda: f"{MEMBERS} copies; there are {len(copies(stage.sink))}",
        timeout=150,
    )
    stage.settle()
    assert set(copies(stage.sink).values()) == {1}
    assert len({message.message["Message-ID"] for message in stage.sink.messages}) == 1
    assert stage.sink.messages[0].message["List-Id"] == "<all.app.test>"
    submitted = stage.lamson.log_lines("submitted")
    assert len(submitted) == MEMBERS // 50
    assert max(map(len, submitted)) < 500
    assert all(" count=50 " in line for line in submitted)


def test_a_kill_on_the_way_leaves_nobody_out(stage: Stage) -> None:
    """Who is between Postfix's 250 and our note of it may get the very same message again."""
    stage.write("zed@sender.test", f"everybody-{FEWER}@app.test", subject="News")
    for _ in range(3):
        wait_for_more(stage.sink, FEWER // 10)
        stage.lamson.kill()
        stage.lamson.start()
    wait_for(
        lambda: len(copies(stage.sink)) == FEWER,
        lambda: f"{FEWER} copies; there are {len(copies(stage.sink))}",
        timeout=150,
    )
    stage.settle()
    twice = sum(number - 1 for number in copies(stage.sink).values())
    print(f"{twice} of {FEWER} got it twice, after three kills")
    under_way = 4 * 2 * 50  # connections, messages on each, recipients
    assert twice <= 3 * under_way
    assert len({message.message["Message-ID"] for message in stage.sink.messages}) == 1


def openssl(*arguments: str, given: bytes = b"") -> bytes:
    done = subprocess.run(["openssl", *arguments], input=given, capture_output=True, check=True)
    return done.stdout


class Key:
    """A key for DKIM, and the DNS record of it."""

    def __init__(self) -> None:
        self.private = openssl("genrsa", "-traditional", "2048")
        public = openssl("rsa", "-pubout", "-outform", "DER", given=self.private)
        self._record = b"v=DKIM1; k=rsa; p=" + base64.b64encode(public)

    def sign(self, content: bytes) -> bytes:
        fields = [b"From", b"To", b"Subject", b"Date", b"Message-ID"]
        signature = dkim.sign(content, b"k", b"sender.test", self.private, include_headers=fields)
        return bytes(signature) + content

    def holds(self, content: bytes) -> bool:
        return bool(dkim.verify(content, dnsfunc=lambda name, timeout=5: self._record))


BODIES = {
    "plain": "Hi there.\r\n",
    "utf8": "Zürich ist schön.\r\n\r\n.\r\n..\r\n trailing  \r\n",
    "long": "word " * 500 + "\r\n",
}


@pytest.mark.parametrize("body", BODIES)
def test_a_signature_stays_valid(make_stage: Callable[..., Stage], body: str) -> None:
    stage, key = make_stage(main=NO_LIMIT), Key()
    content = key.sign(letter("zed@sender.test", "passed-zed@app.test", "News", BODIES[body]))
    assert key.holds(content)
    stage.write("zed@sender.test", "passed-zed@app.test", content=content, options="BODY=8BITMIME")
    (arrived,) = stage.sink.wait(to="zed@world.test")
    assert arrived.message["List-Post"] == "<mailto:all@app.test>"
    assert content in arrived.content
    assert key.holds(arrived.content)


def test_postfix_breaks_long_lines_on_the_way_out_unless_it_is_told(
    make_stage: Callable[..., Stage],
) -> None:
    """What docs/postfix.md says of its default, which is the site's to change."""
    stage, key = make_stage(main={"lmtp_line_length_limit": "0"}), Key()
    content = key.sign(letter("zed@sender.test", "passed-zed@app.test", "News", BODIES["long"]))
    stage.write("zed@sender.test", "passed-zed@app.test", content=content)
    (arrived,) = stage.sink.wait(to="zed@world.test")
    assert not key.holds(arrived.content)
