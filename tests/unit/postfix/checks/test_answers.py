"""lamson.postfix.checks.answers: what is shown of a server's answer, in one line."""

from __future__ import annotations

import smtplib

import pytest

from lamson.postfix.checks.answers import shown, why


def test_shown() -> None:
    assert shown(b"4.2.0 Not\r\n now\xff") == "4.2.0 Not now\ufffd"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (smtplib.SMTPResponseException(535, b"5.7.8 No\nway"), "535 5.7.8 No way"),
        (smtplib.SMTPResponseException(535, "5.7.8 No"), "535 5.7.8 No"),
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused"),
        (OSError("it hangs up"), "it hangs up"),
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_why(error: Exception, text: str) -> None:
    assert why(error) == text
