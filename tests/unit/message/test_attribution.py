"""Lines that say whose words follow."""

# ruff: noqa: RUF001 - other alphabets have letters that look like ours

from __future__ import annotations

import pytest

from lamson.message import attribution


@pytest.mark.parametrize(
    "line",
    [
        "2024-01-15 10:04 GMT+01:00 Ann Lee <ann@example.com>:",
        "Ann Lee <ann@example.com> schrieb am Mo., 15. Jan. 2024, 10:04:",
        "On Monday, January 15, 2024, 10:04:00 AM EST, Ann Lee <ann@example.com> wrote: ",
        "Στις Δευ 15 Ιαν 2024 στις 10:04, ο χρήστης Ann <ann@example.com> έγραψε:",
        "\u202bבתאריך יום ב׳, 15 בינו׳ 2024 ב-10:04 מאת Ann <\u202aann@example.com\u202c>:\u202c",
        "Vào Th 2, 15 thg 1, 2024 vào lúc 10:04 Ann <ann@example.com> đã viết:",
        "---- On Mon, 15 Jan 2024 10:04:00 +0100 Ann <ann@example.com> wrote ----",
        "در تاریخ دوشنبه ۱۵ ژانویه ۲۰۲۴،\u200f ۱۰:۰۴ Ann <ann@example.com> نوشت:",
        "सोम, 15 जन॰ 2024 को 10:04 am बजे को Ann <ann@example.com> ने लिखा:",
        "Missatge de Ann <ann@example.com> del dia dl., 15 de gen. 2024 a les 10:04:",
        "O lun, 15 xan 2024 ás 10:04, Ann (<ann@example.com>) escribiu:",
        "Excerpts from Ann's message of January 15, 2024 10:04 am:",
    ],
)
def test_sure_ones(line: str) -> None:
    assert attribution.is_sure_attribution(line)
    assert attribution.is_attribution(line)


@pytest.mark.parametrize(
    "line",
    [
        "Ann Lee wrote:",
        "* Ann <ann@example.com> [2024-01-15]:",
        "Zitat von Ann <a@b.c>:",
        "Ann said:",
    ],
)
def test_those_that_need_a_quote_below(line: str) -> None:
    assert attribution.is_attribution(line)
    assert not attribution.is_sure_attribution(line)


@pytest.mark.parametrize(
    "line", ["I think that he never wrote:", "On Monday", "Ask ann@example.com:", "10:04:", ""]
)
def test_none(line: str) -> None:
    assert not attribution.is_attribution(line)


def test_lines_above_forwarded_mail() -> None:
    assert attribution.is_forward_line("---------- Forwarded message ----------")
    assert attribution.is_forward_line("Anfang der weitergeleiteten Nachricht:")
    assert not attribution.is_forward_line("I got a forwarded message:")
    assert attribution.is_original_line("-----Ursprüngliche Nachricht-----")
    assert attribution.is_original_line("\u2010\u2010\u2010 Original Message \u2010\u2010\u2010")
    assert attribution.is_original_line("------------------ Original ------------------")
    assert attribution.is_original_line("-----邮件原件-----")
    assert not attribution.is_original_line("original message")
    assert not attribution.is_original_line("--- Original ideas")
    assert attribution.is_forward_subject("WG: x")
    assert not attribution.is_forward_subject("Forward: x")


def test_headers() -> None:
    def is_block(*lines: str) -> bool:
        return attribution.is_header_block(map(attribution.role_of, lines))

    assert is_block("Von: Ann", "Gesendet: Montag", "An: Joe", "Betreff: x")
    assert is_block("*From:* Ann", "", "*Date:* today", "*Subject:* x")
    assert is_block("De la: Ann", "Trimis: luni", "Către: Joe", "Subiect: x")
    assert is_block("Saatja: Ann", "Saadetud: täna", "Adressaat: Joe", "Teema: x")
    assert is_block("От: Ann", "Изпратено: днес", "До: Joe", "Относно: x")
    assert is_block("**Pošiljatelj:** Ann", "**Datum:** danes", "**Zadeva:** x")
    assert not is_block("From: Berlin", "To: Paris", "a", "b", "c", "Subject: x")
    assert is_block("Gesendet: Montag", "Von: Ann", "An: Joe", "Betreff: x")
    assert not is_block("Subject: x", "From: Ann", "To: Joe")
    assert not is_block("Date: today", "", "From: Ann", "Subject: x")
