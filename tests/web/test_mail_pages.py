"""Pages about mail, as a stranger would like to misuse them."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING

from lamson.message.message import Message
from lamson.message.response import MailResponse
from lamson.web import safe_html
from lamson.web.mails import Place
from lamson.web.pages.mail import saved

if TYPE_CHECKING:
    import pytest

    from tests.web.conftest import House, Visitor

HOSTILE = """\
From: "<script>alert(1)</script>" <zed@example.com>
To: app@test.com
Subject: <img src=x onerror=alert(2)> "onmouseover=alert(3)
Message-ID: <hostile@example.com>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=b

--b
Content-Type: text/html; charset=utf-8

<script>alert(4)</script><svg onload=alert(5)><script>alert(6)</script></svg>
<a href="javascript:alert(7)">a</a><a href="data:text/html,<script>alert(8)</script>">b</a>
<p style="background:url(http://evil.example/p.png);color:red">c</p>
<p style="background-image:\\75rl(http://evil.example/q.png)">d</p>
<style>@import url(http://evil.example/s.css); body{background:url(http://evil.example/t)}</style>
<img src="http://evil.example/i.png"><img srcset="http://evil.example/j.png 1x">
<form action="http://evil.example/f"><input name=p><button>e</button></form>
<meta http-equiv="refresh" content="0;url=http://evil.example/m"><base href="http://evil.example/">
<link rel=stylesheet href="http://evil.example/l.css"><iframe src="http://evil.example/g"></iframe>
<object data="http://evil.example/o"></object><embed src="http://evil.example/e">
<video src="http://evil.example/v" poster="http://evil.example/w"></video>
<table background="http://evil.example/b"><tr><td>f</table><math><mtext><script>x</script></math>
<a href="https://good.example/">good</a><img src="cid:pic@x" alt=own><b>bold</b>
--b
Content-Type: text/html; name="../../etc/evil\\".html"
Content-Disposition: inline; filename="page.html"

<script>alert(9)</script>
--b
Content-Type: image/svg+xml
Content-ID: <svg@x>

<svg xmlns="http://www.w3.org/2000/svg" onload="alert(10)"/>
--b
Content-Type: image/png
Content-ID: <pic@x>
Content-Transfer-Encoding: base64

iVBORw0KGgo=
--b--
""".replace("\n", "\r\n").encode()


class _Markup(HTMLParser):
    """What a browser would find in a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.scripts: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)
        if tag == "script":
            self.scripts.append(dict(attrs).get("src"))


def test_what_a_stranger_wrote_becomes_no_markup(house: House, visitor: Visitor) -> None:
    id = house.went(HOSTILE)
    paths = ["/", "/?q=bold", "/with?with=zed@example.com", "/test?with=zed@example.com"]
    paths += [f"/mail/{id}?show={one}" for one in ("text", "html", "parts", "header", "source")]
    paths += [f"/write?answer={id}"]
    for path in paths:
        page = visitor.get(path)
        assert page.status_code == 200, path
        markup = _Markup()
        markup.feed(page.text)
        assert markup.scripts == ["/static/window.js"], path
        assert not markup.tags & {"img", "svg", "b"}, path
        assert not [name for name in markup.attributes if name.startswith("on")], path
    assert visitor.get("/?q=hostile+nothing").text.count("<li class=") == 0


def test_the_html_runs_nothing_and_loads_nothing(house: House, visitor: Visitor) -> None:
    id = house.went(HOSTILE)
    answer = visitor.get(f"/mail/{id}/html")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox allow-popups allow-popups-to-escape-sandbox;")
    assert "img-src data:;" in policy
    assert "script" not in policy
    assert "evil.example" not in answer.text
    body = answer.text.partition("<body>")[2]
    for word in ("script", "alert", "<svg", "<form", "<meta", "<base", "url(", "cid:"):
        assert word not in body, word
    assert "<b>bold</b>" in body
    assert 'src="data:image/png;base64,iVBORw0KGgo="' in body
    assert 'href="https://good.example/"' in body
    assert 'rel="noopener noreferrer nofollow"' in body


def test_pictures_of_elsewhere_are_loaded_when_asked_for(house: House, visitor: Visitor) -> None:
    id = house.went(HOSTILE)
    assert "Load them" in visitor.get(f"/mail/{id}?show=html").text
    answer = visitor.get(f"/mail/{id}/html?remote=1")
    assert 'src="http://evil.example/i.png"' in answer.text
    assert answer.text.count("evil.example") == 1
    assert "img-src data: http: https:;" in answer.headers["content-security-policy"]


def test_a_million_cells_are_cut(house: House, visitor: Visitor) -> None:
    content = b"Content-Type: text/html\r\n\r\n<table><tr>" + b"<td>x" * 1_000_000
    id = house.went(content)
    assert visitor.get("/?q=x").status_code == 200
    answer = visitor.get(f"/mail/{id}/html")
    assert len(answer.text) < 4 * safe_html.MOST


def test_pictures_of_the_mail_are_shown_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safe_html, "PICTURES", 3)
    assert "data:" not in safe_html.page(Message(HOSTILE))[0]


def test_attachments_are_saved_and_never_shown(house: House, visitor: Visitor) -> None:
    id = house.went(HOSTILE)
    for number in range(4):
        answer = visitor.get(f"/mail/{id}/part/{number}")
        assert answer.headers["content-disposition"].startswith("attachment; ")
        assert "html" not in answer.headers["content-type"]
        assert "svg" not in answer.headers["content-type"]
        assert "sandbox" in answer.headers["content-security-policy"]
    assert visitor.get(f"/mail/{id}/part/4").status_code == 404
    whole = visitor.get(f"/mail/{id}/source")
    assert whole.content == HOSTILE
    assert whole.headers["content-type"] == "application/octet-stream"


def test_a_file_name_stays_in_its_field() -> None:
    answer = saved(b"", 'x"\r\nSet-Cookie: a=b; é.txt', "text/plain")
    assert "set-cookie" not in answer.headers
    disposition = answer.headers["content-disposition"]
    assert disposition.count('"') == 2
    assert "\n" not in disposition


def test_mail_is_found_by_words_and_read_by_pages(house: House, visitor: Visitor) -> None:
    for number in range(120):
        house.went(b"From: app@test.com\r\nSubject: number %d\r\n\r\nbody\r\n" % number)
    first = visitor.get("/").text
    assert first.count('class="subject"') == 50
    assert "number 119<" in first
    seen, page = set(re.findall(r"number (\d+)<", first)), first
    while found := re.search(r'class="button" href="(/\?before=[^"]+)">Older', page):
        page = visitor.get(found[1].replace("&amp;", "&")).text
        new = set(re.findall(r"number (\d+)<", page))
        assert not new & seen
        seen |= new
    assert seen == {str(number) for number in range(120)}
    assert "number 77<" in visitor.get("/?q=NUMBER+77").text
    assert visitor.get("/?before=nonsense").status_code == 200
    assert Place.read("x") is None


def test_a_conversation_is_read_in_order(house: House, visitor: Visitor) -> None:
    visitor.post("/write", sender="Zed@example.com", to="app@test.com", subject="one", body="two")
    house.went(b"From: app@test.com\r\nSubject: Re: one\r\n\r\nthree\r\n")
    page = visitor.get("/with?with=zed@example.com").text
    assert page.index("two") < page.index("three")
    assert visitor.get("/with?with=nobody@example.com").status_code == 404


def test_what_is_undeliverable_is_shown_with_its_reason(house: House, visitor: Visitor) -> None:
    id = house.keep(b"Subject: lost\r\n\r\nx\r\n", "KeyError: <b>'a'</b>")
    page = visitor.get("/undeliverable").text
    assert "KeyError: &lt;b&gt;" in page
    assert "lost" in visitor.get("/").text
    visitor.post("/undeliverable", id="kept/nothing", do="remove")
    visitor.post("/undeliverable", id=id, do="remove")
    assert house.kept.count() == 0
    assert "Nothing is undeliverable" in visitor.get("/undeliverable").text


def test_a_mail_that_is_gone_is_told(house: House, visitor: Visitor) -> None:
    id = house.went(b"Subject: short\r\n\r\nx\r\n")
    assert visitor.get(f"/mail/{id}").status_code == 200
    house.sent.clear()
    assert visitor.get(f"/mail/{id}").status_code == 404


def test_a_page_knows_that_it_is_old(house: House, visitor: Visitor) -> None:
    before = visitor.get("/pulse").json()
    assert before["mark"] in visitor.get("/").text
    house.went(b"Subject: new\r\n\r\nx\r\n")
    assert visitor.get("/pulse").json() != before


def test_pages_say_what_they_answer(house: House, visitor: Visitor) -> None:
    mail = MailResponse(to="app@test.com", sender="zed@example.com", subject="asked", body="x")
    mail["Message-ID"] = "<asked@example.com>"
    assert house.window.development is not None
    house.window.development.deliver("zed@example.com", ["app@test.com"], mail.to_bytes())
    house.went(b"Subject: answered\r\nIn-Reply-To: <asked@example.com>\r\n\r\nx\r\n")
    (id,) = house.came.keys()
    assert "answered" in visitor.get(f"/mail/came/{id}").text
