"""lamson.relay.wanted_reports"""

from __future__ import annotations

import pytest

from lamson.relay import wanted_reports


@pytest.mark.parametrize(
    ("recipient", "expected"),
    [
        ("a@b.example", " NOTIFY=FAILURE ORCPT=rfc822;a@b.example"),
        ("a+b=c@d.example", " NOTIFY=FAILURE ORCPT=rfc822;a+2Bb+3Dc@d.example"),
        ('"a b"@d.example', ' NOTIFY=FAILURE ORCPT=rfc822;"a+20b"@d.example'),
        ("zoé@d.example", " NOTIFY=FAILURE"),
        (f"{'+' * 200}@d.example", " NOTIFY=FAILURE"),
    ],
)
def test_what_is_asked_of_a_recipient(recipient: str, expected: str) -> None:
    assert wanted_reports.of_recipient("FAILURE", recipient) == expected


def test_nothing_can_end_the_command() -> None:
    assert wanted_reports.of_mail("a\r\nb c") == " RET=HDRS ENVID=a+0D+0Ab+20c"
