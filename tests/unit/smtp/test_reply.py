"""lamson.smtp.reply"""

import pytest

from lamson.smtp import reply
from lamson.smtp.reply import EnhancedStatus, Reply


def test_a_reply_on_the_wire() -> None:
    assert bytes(reply.OK) == b"250 2.0.0 Ok\r\n"
    assert bytes(Reply(354, "", "Go on")) == b"354 Go on\r\n"


def test_every_line_of_a_long_reply_has_code_and_status() -> None:
    assert bytes(Reply(550, "5.7.1", "no\nnever")) == b"550-5.7.1 no\r\n550 5.7.1 never\r\n"


def test_a_text_cannot_forge_a_line_or_leave_ascii() -> None:
    wire = bytes(Reply(550, "5.7.1", "bad\r\x00 caf\u00e9"))
    assert wire == b"550 5.7.1 bad?? caf?\r\n"


def test_a_reply_line_keeps_within_the_limit() -> None:
    assert len(bytes(Reply(550, "5.7.1", "x" * 2000))) <= 512


@pytest.mark.parametrize(
    ("code", "enhanced"), [(550, "4.1.1"), (250, "5.0.0"), (99, ""), (600, "")]
)
def test_code_and_status_must_agree(code: int, enhanced: str) -> None:
    with pytest.raises(ValueError, match="code"):
        Reply(code, enhanced, "x")


@pytest.mark.parametrize("text", ["", "5", "5.1", "3.1.1", "5.1.1.1", "5.1.1000", "a.b.c"])
def test_what_is_no_enhanced_status(text: str) -> None:
    with pytest.raises(ValueError, match=r"5\.1\.1"):
        EnhancedStatus.parse(text)


def test_an_enhanced_status_reads_and_writes() -> None:
    assert str(EnhancedStatus.parse("5.10.200")) == "5.10.200"


def test_the_kinds_of_reply() -> None:
    assert reply.OK.is_positive
    assert reply.LOCAL_ERROR.is_transient
    assert reply.NO_SUCH_RECIPIENT.is_permanent


def test_the_named_replies_are_of_their_class() -> None:
    named = [value for value in vars(reply).values() if isinstance(value, Reply)]
    assert len(named) > 20
    for value in named:
        assert not value.enhanced or value.enhanced[0] == str(value.code)[0]
