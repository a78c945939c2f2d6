"""Fields with a syntax: as they were given, folded, never one encoded word."""

from __future__ import annotations

import pytest

from lamson.message import structured
from lamson.message.response import MailResponse


def response() -> MailResponse:
    return MailResponse(to="zed@example.com", sender="list@test.com", subject="x", body="x")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("List-Unsubscribe", "<https://example.com/u?a=?b>, <mailto:u@example.com?subject=x>"),
        ("List-Id", "Our =?list <users.test.com>"),
        ("References", "<a=?b@c> <d=?e?=@f>"),
        ("In-Reply-To", "<a=?utf-8?q?x?=@c>"),
        ("Message-ID", f"<{'x' * 950}@c>"),
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        ("Archived-At", f"<https://example.com/{'x' * 950}>"),
    ],
)
def test_what_is_ascii_stays(name: str, value: str) -> None:
    message = response()
    message[name] = value
    content = message.to_bytes()
    line = content.partition(f"{name}:".encode())[2].partition(b"\r\nMIME-Version")[0]
    assert line.replace(b"\r\n", b"").strip() == value.encode()
    assert max(map(len, content.split(b"\r\n"))) <= 998


@pytest.mark.parametrize(
    ("name", "value", "written"),
    [
        (
            "List-Id",
            "Grüße an alle <users.test.com>",
            b"List-Id: =?utf-8?q?Gr=C3=BC=C3=9Fe_an_alle?= <users.test.com>\r\n",
        ),
        (
            "List-Help",
            "<https://test.com/hülfe?x=%20> (Hülfe)",
            b"List-Help: <https://test.com/h%C3%BClfe?x=%20> (=?utf-8?q?H=C3=BClfe?=)\r\n",
        ),
    ],
)
def test_what_is_not_is_encoded_where_it_may(name: str, value: str, written: bytes) -> None:
    assert structured.field(name, value) == written
    assert structured.field(name, value, utf8=True) == f"{name}: {value}\r\n".encode()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("References", "<ü@example.com>"),
        ("List-Id", "x <ü.test.com>"),
        ("List-Unsubscribe", f"<https://example.com/{'x' * 1000}>"),
        ("List-Unsubscribe", "<https://example.com/\x07>"),
        ("Auto-Submitted", "jä"),
    ],
)
def test_what_cannot_be_is_refused_at_the_assignment(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"header field {name} "):
        response()[name] = value
