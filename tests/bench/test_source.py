"""What the sender sends: no message is like another, and each can be told again."""

from __future__ import annotations

import pytest

from lamson.smtp.envelope import Envelope
from lamson.storage import seen_key
from tests.bench import source
from tests.bench.load import Load
from tests.postfix.sink import Sink

pytestmark = pytest.mark.skipif(source.unavailable() is not None, reason=source.unavailable() or "")


@pytest.mark.parametrize("kept", [True, False])
def test_each_message_has_an_identity_an_author_and_recipients_of_its_session(kept: bool) -> None:
    load = Load("test", sessions=3, recipients=2, kept=kept, pipelined=True, smtp=True)
    with Sink() as sink:
        sent = load.run(sink.port, 20)
        messages = sink.messages
    assert len(messages) == 20
    assert sent.ended > sent.began
    assert sent.median is not None
    assert sent.p99 is not None
    assert sent.median <= sent.p99
    for header in ("Message-ID", "From"):
        assert len({message.message[header] for message in messages}) == 20
    assert {message.sender for message in messages} == {
        message.message["From"].addresses[0].addr_spec for message in messages
    }
    everybody = {recipient for message in messages for recipient in message.recipients}
    assert everybody <= {f"s{session}r{n}@bench.test" for session in range(3) for n in range(2)}
    identities = {seen_key.source(Envelope("a@b.test"), one.content) for one in messages}
    assert len(identities) == 20
    assert None not in identities


def test_two_senders_can_have_authors_of_their_own() -> None:
    with Sink() as sink:
        for first in (0, 25_000):
            Load("test", sessions=1, smtp=True, first=first).run(sink.port, 1)
        senders = [message.sender for message in sink.messages]
    assert senders == ["author00000@sender.test", "author25000@sender.test"]


@pytest.mark.parametrize("size", [4096, 65536, 100_000])
def test_a_message_has_the_size_asked_for(size: int) -> None:
    with Sink() as sink:
        Load("test", sessions=1, size=size, smtp=True).run(sink.port, 1)
        (message,) = sink.messages
    assert len(message.content) == size
    assert message.content.endswith(b"\r\n")


def test_a_refusal_is_an_error() -> None:
    with Sink() as sink:
        sink.refuse("s0r0@bench.test")
        with pytest.raises(RuntimeError, match="refused: 550"):
            Load("test", sessions=1, smtp=True).run(sink.port, 1)
