"""What flufl.bounce knows, within bounds."""

from __future__ import annotations

from lamson.message.defects import Defects
from lamson.message.header import Header
from lamson.message.other_bounces import recipients


def test_asks_flufl_bounce() -> None:
    header = Header(b"From: a@b\r\nSubject: x\r\n\r\n", Defects())
    text = "The following addresses had delivery problems:\n\n<joe@example.com>\n  gone\n\n"
    assert recipients(header, text) == ["joe@example.com"]
    assert recipients(header, "\udc80 nothing") == []
