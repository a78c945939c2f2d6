"""Strangers at the door of the window: what they send before they are in, and in whose name."""

from __future__ import annotations

import ast
import asyncio
import base64
import contextlib
import itertools
import re
import resource
import select
import socket
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from lamson.message.message import Message
from lamson.settings import Web
from lamson.web import guard, safe_html, server, writing
from lamson.web.as_test import as_test
from lamson.web.guard import MAX_ENTERING
from lamson.web.mails import Mail
from lamson.web.pages import mail
from lamson.web.sessions import ATTEMPTS, COOKIE, UNGUESSABLE, Sessions
from lamson.web.site import site
from lamson.web.story import Letter, Step
from tests.web import conftest as window

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from lamson.message.request import MailRequest
    from tests.web.conftest import House

house = window.house


def test_a_cookie_does_not_stand_for_a_user_whom_the_proxy_let_in(house: House) -> None:
    web = Web(user_header="X-Remote-User", proxies=["192.0.2.1"])
    house.window.settings = house.window.settings.model_copy(update={"web": web})
    proxy = house.visitor(is_in=False, client=("192.0.2.1", 1), follow_redirects=False)
    assert proxy.get("/", headers={"X-Remote-User": "ann"}).status_code == 200
    for guess in ("user ann", "ann", "cookie ann"):
        for client in (("192.0.2.2", 1), ("192.0.2.1", 1)):
            thief = house.visitor(is_in=False, client=client, follow_redirects=False)
            for cookie in (f"{COOKIE}={guess}", f'{COOKIE}="{guess}"'):
                assert thief.get("/", headers={"Cookie": cookie}).status_code == 303


@pytest.mark.parametrize(
    "kind", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=b"]
)
def test_who_is_not_in_sends_little(
    house: House, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("ERROR")
    stranger = house.visitor(is_in=False)
    told = stranger.client.post(
        "/login", content=b"a" * (MAX_ENTERING + 1), headers={"Content-Type": kind}
    )
    assert told.status_code == 413
    untold = stranger.client.post(
        "/login", content=iter([b"--b\r\n" + b"a" * 1024] * 20), headers={"Content-Type": kind}
    )
    assert untold.status_code == 400
    assert not caplog.records, "who sends too much has no line in the log, nor a traceback"


STYLE = b"GET /static/window.css HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHos", 5 * STYLE, 50 * STYLE])
def test_who_says_nothing_or_takes_nothing_keeps_nobody_out(
    house: House, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    """Connections are counted; each one that is not used was kept for ever."""
    monkeypatch.setattr(server, "CONCURRENT", 5)
    monkeypatch.setattr(server, "PATIENCE", 0.5)
    monkeypatch.setattr(server, "TAKING", 0.5)
    application = site(house.window, house.sessions)
    sock = socket.create_server(("127.0.0.1", 0))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    port = sock.getsockname()[1]

    async def is_open() -> bool:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        line = b""
        with contextlib.suppress(OSError):  # on a slow machine it may be closed, too
            writer.write(b"GET /login HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            line = await reader.readline()
            writer.close()
            await writer.wait_closed()
        return line.startswith(b"HTTP/1.1 200 ")

    async def story() -> None:
        leaving = asyncio.Event()
        serving = asyncio.create_task(server.serve(application, sock, leaving))
        try:
            async with asyncio.timeout(60):
                with contextlib.ExitStack() as silent:
                    for _ in range(4):  # with who wants to know there are five
                        one = silent.enter_context(socket.socket())
                        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                        one.connect(("127.0.0.1", port))
                        one.sendall(said)
                        while said.endswith(STYLE) and not select.select([one], [], [], 0)[0]:
                            await asyncio.sleep(0.01)  # until it is being answered
                    while not await is_open():
                        await asyncio.sleep(0.1)
        finally:
            leaving.set()
            await serving

    asyncio.run(story())


def test_who_is_not_in_sends_it_soon(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "ENTERING_TIME", 0.1)
    application = site(house.window, house.sessions)
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(dict(message))

    async def story() -> None:
        fields = {
            b"host": b"127.0.0.1",
            b"content-length": b"9",
            b"content-type": b"application/x-www-form-urlencoded",
        }
        scope: dict[str, Any] = {"type": "http", "method": "POST", "path": "/login"}
        scope |= {"query_string": b"", "client": ("192.0.2.1", 1), "scheme": "http"}
        scope["headers"] = [*fields.items()]
        async with asyncio.timeout(60):
            await application(scope, receive, send)

    asyncio.run(story())
    assert sent[0]["status"] == 400


def test_a_key_that_cannot_be_guessed_is_looked_at_however_often_others_guess() -> None:
    key = "k" * UNGUESSABLE
    sessions = Sessions(lambda: key)
    for number, peer in itertools.product(range(3 * ATTEMPTS), ("127.0.0.1", "192.0.2.1")):
        assert sessions.enter(f"guess {number}", peer) is None
    assert sessions.enter(key, "127.0.0.1") is not None
    weak = Sessions(lambda: key[1:])
    for number in range(ATTEMPTS):
        weak.enter(f"guess {number}", "127.0.0.1")
    assert weak.enter(key[1:], "127.0.0.1") is None


def test_a_few_kilobytes_of_html_do_not_become_gigabytes(house: House) -> None:
    """Each paragraph takes up again all formatting that was left open, as in browsers."""
    html = "<p>" + "".join(f"<font size={n}>" for n in range(3000)) + "<p>x" * 3000
    content = f"Subject: hi\r\nContent-Type: text/html\r\n\r\n{html}".encode()
    id = house.went(content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answer = house.visitor().get(f"/mail/{id}/html")
    assert answer.status_code == 200
    assert "takes too much to be shown" in answer.text
    assert "sandbox" in answer.headers["content-security-policy"]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


def test_a_look_for_pictures_of_elsewhere_is_linear() -> None:
    """What took seventeen seconds, in which the window stood still."""
    content = b"Subject: hi\r\nContent-Type: text/html\r\n\r\n" + b"<img " * 100_000
    begun = time.process_time()
    assert safe_html.has_remote(Message(content)) is False
    assert time.process_time() - begun < 5
    assert safe_html.has_remote(
        Message(b"Content-Type: text/html\r\n\r\n<img alt=x src = 'https://x.example/'>")
    )


def test_no_password_is_taken_from_an_address_but_by_lamson_dev(house: House) -> None:
    """A proxy writes addresses into its log."""
    house.window.development = None
    stranger = house.visitor(is_in=False, follow_redirects=False)
    answer = stranger.get(f"/enter?key={window.PASSWORD}")
    assert answer.status_code == 404
    assert "set-cookie" not in answer.headers


HOSTILE = (
    '"""+__import__("os").system("id")+"""',
    "\\",
    "'+evil()+'",
    "{body.__class__}",
    "\u2028evil()",
    "\nevil()\n",
    "\r    evil()",
    "#",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_no_words_of_a_mail_become_code_of_a_test(text: str) -> None:
    """A developer runs that file."""
    who = f"{text}@example.com"
    by = f"{text}@example.org"
    made = Mail("came/1", "in", 0.0, (who,), (f"{text}@test.com",), text, 1, f"<{text}>", "", "250")
    answer = Mail(
        "sent/1", "out", 1.0, (who,), ("app@test.com",), text, 1, f"<a{text}>", f"<{text}>", ""
    )
    encoded = base64.b64encode(text.encode()).decode()
    for more in ("", "Cc: x@example.com\r\n"):
        content = (
            f"Subject: =?utf-8?b?{encoded}?=\r\n{more}Content-Type: text/plain; charset=utf-8\r\n"
            f"Content-Transfer-Encoding: base64\r\n\r\n{encoded}\r\n"
        ).encode()
        letter, told = (
            Letter(answer, content),
            Letter(replace(answer, correspondents=(by,)), content),
        )
        code = as_test(
            who,
            [
                Step(made, content, [letter, told], missing=text),
                Step(made, content, asked=letter, is_all=True),
                Step(replace(made, correspondents=(by,)), content, asked=told),
            ],
        )
        (docstring, *_, function) = ast.parse(code).body
        assert isinstance(docstring, ast.Expr)
        assert isinstance(docstring.value, ast.Constant)
        assert isinstance(function, ast.FunctionDef)
        names = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
        known = {"conversation", "Conversation", "Callable", "str", "pytest", "Refused"}
        own = {one.id for one in ast.walk(function)
               if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)}  # fmt: skip
        assert names <= known | own
        plain = re.sub("[^a-z0-9]+", "_", text.lower()).strip("_")
        name = plain or "somebody"
        assert own == {"first_answer", f"second_mail_to_{name}_too", name, f"{name}_too"}


def test_large_mails_of_a_stranger_are_not_all_in_memory_for_one_page(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []

    def note(content: bytes) -> MailRequest:
        read.append(len(content))
        return writing.read(content)

    monkeypatch.setattr(mail, "READ", 100_000)
    monkeypatch.setattr(mail, "read", note)
    for _ in range(5):
        house.went(b"Subject: hi\r\n\r\n" + b"x" * 90_000)
    assert house.visitor().get("/with?with=zed@example.com").status_code == 200
    assert len(read) == 5
    assert sum(read) < 100_000 + 5 * mail.LEAST
