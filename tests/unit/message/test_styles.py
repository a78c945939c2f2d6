"""Style sheets in what is sent: inlined, and told of where they cannot be."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from lamson.message import styles
from lamson.message.response import MailResponse

if TYPE_CHECKING:
    import pytest

SHEET = "<html><head><style>p {color: red}</style></head><body><p>a</p></body></html>"


def test_html_that_is_given_is_inlined_too() -> None:
    message = MailResponse(to="a@b.c", sender="d@e.f", subject="x", html=SHEET)
    content = message.to_bytes()
    assert b'<p style="color: red;">a</p>' in content
    assert b"text/plain" in content


def test_it_is_told_once_where_the_package_is_missing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "css_inline", None)
    styles._tell.cache_clear()
    for _ in range(2):
        assert styles.inlined(SHEET) == SHEET
    assert caplog.text.count("install css-inline") == 1
    assert styles.inlined("<p>a") == "<p>a"
