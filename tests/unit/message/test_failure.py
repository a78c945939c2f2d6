"""What the words of servers amount to: codes and reasons."""

from __future__ import annotations

import pytest

from lamson.message.failure import guessed_status, reason_of, status_of


@pytest.mark.parametrize(
    ("text", "declared", "status"),
    [
        ("550 5.1.1 no such user", "5.1.1 (bad)", "5.1.1"),
        ("550 5.1.1 no such user", "5.0.0", "5.1.1"),
        ("452 4.2.2 full", "5.0.0", "5.0.0"),
        ("550 5.7.1 spam", "", "5.7.1"),
        ("550 user unknown", "", "5.1.1"),
        ("450 mailbox is full", "", "4.2.2"),
        ("554 go away", "", "5.0.0"),
        ("host 192.0.2.5.1.1 at 5.1.1.7", "", ""),
        ("no code", "", ""),
    ],
)
def test_statuses(text: str, declared: str, status: str) -> None:
    assert status_of(text, declared) == status


@pytest.mark.parametrize(
    ("text", "status", "reason"),
    [
        ("", "5.1.1", "unknown-user"),
        ("", "5.2.2", "mailbox-full"),
        ("", "4.4.7", "expired"),
        ("550 5.7.1 relaying denied", "5.7.1", "relaying"),
        ("550 5.7.1 listed by spamhaus", "5.7.1", "spam"),
        ("user unknown", "5.0.0", "unknown-user"),
        ("connection timed out", "4.0.0", "network"),
        ("message size exceeds the limit", "5.0.0", "too-big"),
        ("what", "5.0.0", "unknown"),
    ],
)
def test_reasons(text: str, status: str, reason: str) -> None:
    assert reason_of(text, status) == reason


def test_guesses() -> None:
    assert guessed_status("no such user", is_delayed=False) == "5.1.1"
    assert guessed_status("connection refused", is_delayed=False) == "4.4.1"
    assert guessed_status("mailbox full", is_delayed=True) == "4.2.2"
    assert guessed_status("", is_delayed=False) == "5.0.0"
