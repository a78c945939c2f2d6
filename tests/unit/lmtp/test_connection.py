import pytest

from lamson.smtp import reply as replies
from lamson_lmtp.connection import DATA, GONE, MAIL, NEW, RCPT, READY, REPLYING, Connection, Limits
from lamson_lmtp.events import (
    ANSWERED,
    CLOSED,
    DATA_BEGINS,
    NEED_DATA,
    PAUSED,
    Discarded,
    LocalProtocolError,
    MailFrom,
    Message,
    RcptTo,
)

START = b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n"


def connect(**limits: int) -> Connection:
    connection = Connection(Limits(**limits), "mail.example")
    connection.receive_data(b"LHLO x\r\n")
    assert connection.next_event() is ANSWERED
    connection.data_to_send()
    return connection


def begin(connection: Connection, recipients: int = 1) -> None:
    """Bring the connection to where content is expected."""
    lines = START.splitlines(keepends=True)
    connection.receive_data(lines[0] + lines[1] * recipients + lines[2])
    for reply in [
        replies.SENDER_OK,
        *[replies.RECIPIENT_OK] * recipients,
        replies.START_DATA,
    ]:
        connection.next_event()
        connection.reply(reply)
    connection.data_to_send()
    assert connection.state is DATA


def test_a_transaction_step_by_step() -> None:
    connection = Connection(Limits(), "mail.example")
    assert connection.state is NEW
    assert connection.data_to_send() == b"220 mail.example LMTP ready\r\n"
    assert connection.data_to_send() == b""
    connection.receive_data(b"LHLO x\r\n" + START)
    assert connection.next_event() is ANSWERED
    assert connection.state is READY
    assert connection.next_event() == MailFrom("a@b.example")
    connection.reply(replies.SENDER_OK)
    assert connection.state is MAIL
    assert connection.next_event() == RcptTo("c@d.example")
    connection.reply(replies.RECIPIENT_OK)
    assert connection.state is RCPT
    assert connection.next_event() is DATA_BEGINS
    connection.reply(replies.START_DATA)
    assert connection.state is DATA
    assert not connection.has_more
    connection.receive_data(b"hello\r\n")
    assert connection.next_event() is NEED_DATA
    assert connection.buffered == 5  # the line end may belong to the end of the data
    connection.receive_data(b".\r\nNOOP\r\n")
    assert connection.next_event() == Message(b"hello\r\n")
    assert connection.state is REPLYING
    assert connection.next_event() is PAUSED
    assert connection.unread == len(b"NOOP\r\n")
    connection.data_to_send()
    connection.reply(replies.OK)
    assert connection.state is READY
    assert connection.next_event() is ANSWERED
    assert connection.next_event() is NEED_DATA
    assert connection.data_to_send() == bytes(replies.OK) * 2


def test_negative_replies_change_nothing() -> None:
    connection = connect()
    connection.receive_data(START)
    connection.next_event()
    connection.reply(replies.NO_STORAGE)
    assert connection.state is READY
    assert connection.next_event() is ANSWERED  # RCPT: 503
    connection = connect()
    connection.receive_data(START.replace(b"RCPT TO:<c", b"RCPT TO:<x@y.example>\r\nRCPT TO:<c"))
    for reply in (replies.SENDER_OK, replies.NO_SUCH_RECIPIENT, replies.RECIPIENT_OK):
        connection.next_event()
        connection.reply(reply)
    connection.next_event()
    connection.reply(replies.NO_STORAGE)
    assert connection.state is RCPT


def test_a_reply_for_each_accepted_recipient() -> None:
    connection = connect()
    begin(connection, recipients=3)
    connection.receive_data(b".\r\n")
    assert connection.next_event() == Message(b"")
    for _ in range(3):
        assert connection.next_event() is PAUSED
        connection.reply(replies.OK)
    assert connection.state is READY
    with pytest.raises(LocalProtocolError):
        connection.reply(replies.OK)
    assert connection.data_to_send() == bytes(replies.OK) * 3


def test_our_own_mistakes_are_raised() -> None:
    connection = connect()
    with pytest.raises(LocalProtocolError):
        connection.reply(replies.OK)
    with pytest.raises(LocalProtocolError):
        connection.discard(replies.NO_STORAGE)
    connection.receive_data(START)
    connection.next_event()
    with pytest.raises(LocalProtocolError):
        connection.next_event()
    assert connection.data_to_send() == b""


def test_fail_answers_all_that_waits() -> None:
    connection = connect()
    connection.fail(replies.LOCAL_ERROR)
    assert connection.data_to_send() == b""
    connection.receive_data(START)
    connection.next_event()
    connection.fail(replies.LOCAL_ERROR)
    assert connection.data_to_send() == bytes(replies.LOCAL_ERROR)
    connection = connect()
    begin(connection, recipients=2)
    connection.receive_data(b".\r\n")
    connection.next_event()
    connection.reply(replies.OK)
    connection.fail(replies.LOCAL_ERROR)
    assert connection.data_to_send() == bytes(replies.OK) + bytes(replies.LOCAL_ERROR)
    assert connection.state is READY


def test_discarded_content_is_not_held() -> None:
    connection = connect()
    begin(connection, recipients=2)
    connection.receive_data(b"x" * 1000)
    connection.next_event()
    assert connection.buffered == 1000
    connection.discard(replies.NO_STORAGE)
    assert connection.buffered == 0
    connection.receive_data(b"x" * 1000 + b"\r\n.\r\n")
    assert connection.next_event() == Discarded(replies.NO_STORAGE)
    assert connection.data_to_send() == bytes(replies.NO_STORAGE) * 2
    assert connection.state is READY


def test_a_long_line_is_not_held() -> None:
    connection = connect(max_line=100)
    for _ in range(1000):
        connection.receive_data(b"x" * 1000)
        assert connection.next_event() is NEED_DATA
        assert connection.unread == 0
    connection.receive_data(b"\r\n")
    assert connection.next_event() is ANSWERED
    assert connection.data_to_send() == bytes(replies.LINE_TOO_LONG)


@pytest.mark.parametrize(
    "sent", [b"", b"NOO", b"NOOP\r", b"x" * 5000, b"\n", b"MAIL FROM:<a@b.example>\r\n"]
)
def test_end_of_file_between_commands(sent: bytes) -> None:
    connection = connect()
    connection.receive_data(sent)
    connection.receive_eof()
    event = connection.next_event()
    while event is not CLOSED:
        if isinstance(event, MailFrom):
            connection.reply(replies.SENDER_OK)
        event = connection.next_event()
    assert connection.state is GONE
    assert connection.next_event() is CLOSED


def test_end_of_file_in_the_content_is_no_message() -> None:
    connection = connect()
    begin(connection)
    connection.receive_data(b"hello\r\n.\r")
    connection.next_event()
    connection.receive_eof()
    assert connection.next_event() is CLOSED
    assert connection.buffered == 0


def test_end_of_file_after_the_content() -> None:
    connection = connect()
    begin(connection)
    connection.receive_data(b"hello\r\n.\r\n")
    connection.receive_eof()
    assert connection.next_event() == Message(b"hello\r\n")
    assert connection.next_event() is PAUSED
    connection.reply(replies.OK)
    assert connection.data_to_send() == bytes(replies.OK)
    assert connection.next_event() is CLOSED


def test_close_is_the_last_word() -> None:
    connection = connect()
    begin(connection)
    connection.receive_data(b"x" * 100)
    connection.close(replies.IDLE_TOO_LONG)
    connection.close(replies.SHUTTING_DOWN)
    connection.receive_data(b"NOOP\r\n")
    assert connection.next_event() is CLOSED
    assert connection.data_to_send() == bytes(replies.IDLE_TOO_LONG)
    assert (connection.unread, connection.buffered) == (0, 0)


def test_a_reply_that_is_no_constant() -> None:
    connection = connect()
    connection.receive_data(START)
    connection.next_event()
    connection.reply(replies.Reply(550, "5.7.1", "two\nlines"))
    assert connection.data_to_send() == b"550-5.7.1 two\r\n550 5.7.1 lines\r\n"
