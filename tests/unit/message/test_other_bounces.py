"""What flufl.bounce knows, within bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson.message.defects import Defects
from lamson.message.header import Header
from lamson.message.other_bounces import recipients

if TYPE_CHECKING:
    import pytest


def test_asks_flufl_bounce() -> None:
    header = Header(b"From: a@b\r\nSubject: x\r\n\r\n", Defects())
    text = "The following addresses had delivery problems:\n\n<joe@example.com>\n  gone\n\n"
    assert recipients(header, text) == ["joe@example.com"]
    assert recipients(header, "\udc80 nothing") == []


def test_what_its_readers_stumble_over_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A stranger could fill the log with tracebacks, a dozen lines for each mail."""
    header = Header(b"Subject: failure notice\r\n\r\n", Defects())
    assert recipients(header, "It could not be delivered.\n") == []
    assert caplog.records == []
