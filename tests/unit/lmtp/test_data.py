import pytest

from lamson.smtp import reply as replies
from lamson_lmtp.data import IncomingData


def receive(
    sent: bytes, *, step: int = 1 << 20, max_size: int = 1 << 20
) -> tuple[IncomingData, bytes]:
    content = IncomingData(max_size)
    for at in range(0, len(sent), step):
        rest = content.receive(sent[at : at + step])
        if rest is not None:
            return content, rest + sent[at + step :]
    raise AssertionError("the end was not seen")


@pytest.mark.parametrize("step", [1, 2, 3, 4, 5, 7, 1000])
@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b".\r\n", b""),
        (b"\r\n.\r\n", b"\r\n"),
        (b"a\r\n.\r\n", b"a\r\n"),
        (b"..\r\n.\r\n", b".\r\n"),
        (b".\r.\r\n\r\n.\r\n", b"\r.\r\n\r\n"),
        (b"\r\r\n\n.\r\n\r\n.\r\n", b"\r\r\n\n.\r\n\r\n"),
        (b"\r\n\r\n..\r\n..\r\n.\r\n", b"\r\n\r\n.\r\n.\r\n"),
        (b"\r.\r\n.\n.\r\n.\r\n", b"\r.\r\n\n.\r\n"),
    ],
)
def test_end_and_dots(sent: bytes, expected: bytes, step: int) -> None:
    content, rest = receive(sent + b"NOOP\r\n.\r\n", step=step)
    assert content.take() == expected
    assert content.size == len(expected)
    assert rest == b"NOOP\r\n.\r\n"


@pytest.mark.parametrize("step", [1, 3, 1000])
def test_too_big(step: int) -> None:
    content, rest = receive(b"x" * 50 + b"\r\n.\r\nQUIT", step=step, max_size=51)
    assert content.refusal == replies.TOO_BIG
    assert (content.size, content.take(), rest) == (0, b"", b"QUIT")
    content, _ = receive(b"x" * 50 + b"\r\n.\r\n", step=step, max_size=52)
    assert content.refusal is None


def test_the_first_refusal_stands() -> None:
    content = IncomingData(10)
    content.refuse(replies.NO_STORAGE)
    content.receive(b"x" * 100)
    content.refuse(replies.TOO_BIG)
    assert content.refusal == replies.NO_STORAGE


def test_what_is_swallowed_is_not_held() -> None:
    content = IncomingData(1000)
    for _ in range(1000):
        assert content.receive(b"x" * 1000) is None
        assert content.size <= 1000


def test_a_big_message_costs_no_more_per_octet() -> None:
    # A quadratic scan of these 64 MiB would run into the timeout.
    content = IncomingData(1 << 30)
    chunk = (b".x" * 1000 + b"\r\n..") * 32
    for _ in range(1024):
        assert content.receive(chunk) is None
    assert content.receive(b"\r\n.\r\n") == b""
    assert content.size == len(content.take())
