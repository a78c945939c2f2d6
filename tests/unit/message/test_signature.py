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
        *("Verstuurd vanaf mijn iPhone", "Đã gửi từ iPhone của tôi", "Απεσταλμένο από το iPhone"),
        "Sent via the Samsung Galaxy S10e, an AT&T 5G Evolution capable smartphone",
        "Sent from Yahoo Mail for iPhone <https://mail.onelink.me/1?pid=a&c=Global_Acquisition_315>",
        "Sent with [Proton Mail](https://proton.me/mail/home) secure email.",
        "Sent from Proton Mail <https://proton.me/mail/home> for iOS",
        "Sent via Superhuman ( https://sprh.mn/?vip=joe@example.com )",
        "Sent from Mailspring (https://getmailspring.com/), the best free email app for work",
        *("iPhoneから送信", "Sent with Proton Mail secure email."),
    ],
)
def test_devices(line: str) -> None:
    assert signature.is_device(line)


@pytest.mark.parametrize(
    "line",
    [
        *("Sent from the office, it has not come.", "The phone", "I sent from my iPhone a mail"),
        "Sent with the parcel service on Monday (https://parcels.example.com/track?n=123)",
        "It was sent from <https://proton.me/mail>, was it not?",
        f"Since last Monday I have had Outlook for iOS <https://aka.ms/{'a' * 120}>, and it fails.",
    ],
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
