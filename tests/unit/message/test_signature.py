"""Signatures and footers."""

from __future__ import annotations

import pytest

from lamson.message import signature


@pytest.mark.parametrize(
    "line",
    [
        *("Sent from my iPhone", "Sent from Mail for Windows 10", "Get Outlook for Android"),
        *("Von meinem Samsung Galaxy Smartphone gesendet.", "Enviado desde mi iPhone"),
        *("Yahoo Mail: Search, Organize, Conquer", "Sent on the go"),
        *("iPhoneから送信", "Sent with Proton Mail secure email."),
    ],
)
def test_devices(line: str) -> None:
    assert signature.is_device(line)


@pytest.mark.parametrize(
    "line", ["Sent from the office, it has not come.", "The phone", "I sent from my iPhone a mail"]
)
def test_no_devices(line: str) -> None:
    assert not signature.is_device(line)


def test_delimiters() -> None:
    assert signature.is_delimiter("-- ")
    assert signature.may_delimit("—")
    assert not signature.may_delimit("- one")


def test_footers() -> None:
    assert signature.is_footer(["Disclaimer: this is confidential."])
    assert not signature.is_footer(["This message is short.", "", "confidential"])
    assert signature.is_list_footer(["___________", "unsubscribe: x-request@example.com"])
    assert not signature.is_list_footer(["___________", "Joe"])
