import errno
import logging

import pytest

from lamson import failpoint, log
from lamson.smtp import reply as replies
from lamson.smtp.reply import Reply
from lamson_lmtp.connection import Limits
from lamson_lmtp.events import ANSWERED, CLOSED, NEED_DATA, PAUSED, LocalProtocolError
from lamson_lmtp.session import MAX_TURN, Budget, make_ids
from tests.unit.lmtp.fakes import MEMBERS_ONLY, FakeDispatcher, converse, make_session, run

OK = bytes(replies.OK)
LOCAL_ERROR = bytes(replies.LOCAL_ERROR)
ONE = b"RCPT TO:<one@test.example>\r\n"
TWO = b"RCPT TO:<two@test.example>\r\n"
THREE = b"RCPT TO:<three@test.example>\r\n"


class Talk:
    """A session in which LHLO was said, and its dispatcher."""

    def __init__(self, *, holds: bool = True, budget: int = 1 << 20, **limits: int) -> None:
        self.woken = 0
        self.dispatcher = FakeDispatcher(holds=holds)
        self.budget = Budget(budget)
        self.session = make_session(
            self.dispatcher, limits=Limits(**limits), budget=self.budget, wake=self._wake
        )
        self.say(b"LHLO client.example\r\n")

    def _wake(self) -> None:
        self.woken += 1

    def say(self, data: bytes) -> bytes:
        return converse(self.session, data)

    def send(self, *recipients: bytes, content: bytes = b"hello\r\n", sender: bytes = b"") -> bytes:
        """Send one message; what comes back for its content."""
        self.say(b"MAIL FROM:<%s>\r\n" % sender + b"".join(recipients) + b"DATA\r\n")
        return self.say(content + b".\r\n")


def test_replies_stream_in_the_order_of_rcpt() -> None:
    talk = Talk()
    assert talk.send(ONE, TWO, THREE) == b""
    assert talk.session.delivering
    [message] = talk.dispatcher.messages
    message.done(1, MEMBERS_ONLY)
    assert (run(talk.session), talk.woken) == (b"", 1)
    message.done(0, replies.OK)
    assert run(talk.session) == OK + bytes(MEMBERS_ONLY)
    assert talk.session.delivering
    message.done(2, replies.OK)
    assert run(talk.session) == OK
    assert not talk.session.delivering
    assert not talk.session.in_transaction


def test_a_reply_leaves_though_the_log_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the client waits ten minutes for it, and so does its connection."""

    def fail(*arguments: object, **fields: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    talk = Talk()
    talk.send(ONE)
    monkeypatch.setattr(log, "event", fail)
    with pytest.raises(OSError, match="Too many open files"):
        talk.dispatcher.messages[0].done(0, replies.OK)
    assert talk.woken == 1
    assert run(talk.session) == OK


def test_the_first_of_several_replies_can_be_sent_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failpoint, "ACTIVE", True)
    talk = Talk(holds=False)
    sent: list[bytes] = []
    talk.session.on_first_reply = lambda: sent.append(talk.session.data_to_send())
    assert talk.send(ONE) == OK
    assert sent == []
    assert talk.send(ONE, TWO, THREE) == OK + OK
    assert sent == [OK]


def test_what_was_sent_ahead_waits_for_the_replies() -> None:
    talk = Talk()
    talk.send(ONE)
    assert talk.say(b"NOOP\r\nQUIT\r\n") == b""
    assert talk.session.advance() is PAUSED
    assert talk.session.unread == len(b"NOOP\r\nQUIT\r\n")
    talk.dispatcher.messages[0].done(0, replies.OK)
    assert talk.session.advance() is CLOSED
    assert talk.session.data_to_send() == OK + OK + bytes(replies.BYE)
    assert talk.session.closed


def test_the_envelope() -> None:
    talk = Talk(holds=False)
    talk.say(b"XFORWARD NAME=spike.example ADDR=192.0.2.7 IDENT=4Qx9\r\n")
    talk.say(b"MAIL FROM:<Zed@Example.COM> BODY=8BITMIME SMTPUTF8\r\n" + ONE + ONE + b"DATA\r\n")
    talk.say(b"caf\xc3\xa9\r\n.\r\n")
    [message] = talk.dispatcher.messages
    envelope = message.envelope
    assert envelope.sender == "Zed@example.com"
    assert envelope.recipients == ("one@test.example", "one@test.example")
    assert message.routed == [("one@test.example",), ("one@test.example",)]
    assert message.content == b"caf\xc3\xa9\r\n"
    assert (envelope.smtputf8, envelope.eight_bit) == (True, True)
    assert envelope.id == envelope.queue_id == "4Qx9"
    assert envelope.received > 1_700_000_000


def test_messages_without_a_queue_id_are_given_a_name() -> None:
    talk = Talk(holds=False)
    talk.send(ONE)
    talk.send(TWO)
    assert [message.envelope.id for message in talk.dispatcher.messages] == ["id1", "id2"]
    assert talk.dispatcher.messages[0].envelope.queue_id == ""
    first, second = make_ids(), make_ids()
    assert len({next(first), next(first), next(second)}) == 3


def test_a_second_answer_is_refused() -> None:
    talk = Talk()
    talk.send(ONE, TWO)
    [message] = talk.dispatcher.messages
    message.done(0, replies.OK)
    with pytest.raises(LocalProtocolError):
        message.done(0, MEMBERS_ONLY)
    message.done(1, replies.OK)
    assert run(talk.session) == OK + OK


def test_a_dispatcher_that_raises_is_answered_451(caplog: pytest.LogCaptureFixture) -> None:
    talk = Talk(holds=False)
    answered = talk.say(
        b"MAIL FROM:<>\r\nRCPT TO:<bug@test.example>\r\nRCPT TO:<poison@test.example>\r\nDATA\r\n"
    )
    assert answered.splitlines(keepends=True)[1] == LOCAL_ERROR
    assert talk.say(b".\r\n") == LOCAL_ERROR
    assert talk.say(b"NOOP\r\n") == OK
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.exc_info is not None for record in errors] == [True, True]
    # What the dispatcher says about it later is of no interest.
    talk.dispatcher.messages[0].done(0, replies.OK)
    assert run(talk.session) == b""
    assert talk.budget.used == 0


def test_the_budget_counts_content_until_it_is_answered() -> None:
    talk = Talk()
    talk.say(b"MAIL FROM:<>\r\n" + ONE + TWO + b"DATA\r\n")
    talk.say(b"x" * 1000)
    assert talk.budget.used == 1000
    talk.say(b"x" * 1000 + b"\r\n.\r\n")
    assert talk.budget.used == 2002
    [message] = talk.dispatcher.messages
    message.done(1, replies.OK)
    assert talk.budget.used == 2002
    message.done(0, replies.OK)
    assert talk.budget.used == 0


def test_a_message_that_others_leave_no_room_for() -> None:
    talk = Talk(budget=100)
    talk.budget.used = 60  # by other sessions
    assert talk.say(b"MAIL FROM:<> SIZE=41\r\n") == bytes(replies.NO_STORAGE)
    assert talk.send(ONE, TWO, content=b"x" * 39 + b"\r\n") == bytes(replies.NO_STORAGE) * 2
    assert talk.dispatcher.messages == []
    talk.say(b"MAIL FROM:<>\r\n" + ONE + b"DATA\r\n")
    assert talk.say(b"x" * 50) == b""
    assert talk.budget.used == 60  # thrown away
    assert talk.say(b"\r\n.\r\n") == bytes(replies.NO_STORAGE)
    talk.budget.used = 100
    talk.say(b"MAIL FROM:<>\r\n" + ONE)
    assert talk.say(b"DATA\r\n") == bytes(replies.NO_STORAGE)
    talk.budget.used = 60
    assert talk.say(b"DATA\r\n") == bytes(replies.START_DATA)


def test_a_client_that_goes_away_frees_what_it_held() -> None:
    talk = Talk()
    talk.say(b"MAIL FROM:<>\r\n" + ONE + b"DATA\r\n" + b"x" * 1000)
    talk.session.lost()
    assert talk.budget.used == 0
    talk = Talk()
    talk.send(ONE)
    talk.session.lost()
    assert talk.budget.used == 7  # the dispatcher has it still
    talk.dispatcher.messages[0].done(0, replies.OK)
    assert (talk.budget.used, talk.woken) == (0, 0)


def test_closing_answers_what_waits() -> None:
    talk = Talk()
    talk.send(ONE, TWO, THREE)
    talk.dispatcher.messages[0].done(1, MEMBERS_ONLY)
    talk.session.close(replies.SHUTTING_DOWN)
    assert talk.session.data_to_send() == (
        LOCAL_ERROR + bytes(MEMBERS_ONLY) + LOCAL_ERROR + bytes(replies.SHUTTING_DOWN)
    )
    assert talk.session.closed
    talk.dispatcher.messages[0].done(0, replies.OK)
    assert talk.session.data_to_send() == b""


def test_closing_in_the_middle_of_content() -> None:
    talk = Talk()
    talk.say(b"MAIL FROM:<>\r\n" + ONE + b"DATA\r\nhello")
    talk.session.close(replies.TOOK_TOO_LONG)
    assert talk.session.data_to_send() == bytes(replies.TOOK_TOO_LONG)
    assert talk.budget.used == 0


def test_one_client_does_not_keep_the_others_waiting() -> None:
    talk = Talk()
    talk.session.receive(b"NOOP\r\n" * (MAX_TURN + 1))
    assert talk.session.advance() is ANSWERED
    assert talk.session.data_to_send() == OK * MAX_TURN
    assert talk.session.advance() is NEED_DATA
    assert talk.session.data_to_send() == OK


def test_what_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="lamson")
    talk = Talk(holds=False)
    talk.send(ONE, b"RCPT TO:<nobody@test.example>\r\n", b"RCPT TO:<stranger@test.example>\r\n")
    talk.say(b"XFORWARD NAME=spike.example ADDR=192.0.2.7 IDENT=4Qx9\r\n")
    talk.send(ONE, sender=b"zed@example.com")
    talk.say(b"XFORWARD ADDR=192.0.2.7\r\n")
    talk.say(b"XFORWARD ADDR=192.0.2.7\r\n")
    talk.send(ONE)
    assert [record.getMessage() for record in caplog.records] == [
        "refused id=id1 recipient=nobody@test.example "
        'reply="550 5.1.1 No route for this recipient"',
        "received id=id1 sender=<> recipients=2 size=7 client=[192.0.2.9]",
        'replied id=id1 recipient=one@test.example reply="250 2.0.0 Ok"',
        'replied id=id1 recipient=stranger@test.example reply="550 5.7.1 Members only"',
        "received id=4Qx9 sender=zed@example.com recipients=1 size=7 "
        "client=spike.example[192.0.2.7]",
        'replied id=4Qx9 recipient=one@test.example reply="250 2.0.0 Ok"',
        "received id=id2 sender=<> recipients=1 size=7 client=unknown[192.0.2.7]",
        'replied id=id2 recipient=one@test.example reply="250 2.0.0 Ok"',
    ]


def test_what_is_logged_for_a_message_that_is_too_big(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="lamson")
    talk = Talk(max_size=5)
    assert talk.send(ONE) == bytes(replies.TOO_BIG)
    assert [record.getMessage() for record in caplog.records] == [
        'replied id=id1 recipient=one@test.example reply="552 5.3.4 Message too big"'
    ]


def test_who_speaks_another_protocol_is_one_line_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    talk = Talk()
    talk.say(b"GET / HTTP/1.1\r\nHost: \x1b[31m\r\n")
    assert talk.session.closed
    assert [record.getMessage() for record in caplog.records] == [
        "hung up on [192.0.2.9], which does not speak LMTP: b'GET / HTTP/1.1'"
    ]


def test_a_handlers_reply_of_several_lines() -> None:
    talk = Talk()
    talk.send(ONE)
    talk.dispatcher.messages[0].done(0, Reply(550, "5.7.1", "members\nonly"))
    assert run(talk.session) == b"550-5.7.1 members\r\n550 5.7.1 only\r\n"
