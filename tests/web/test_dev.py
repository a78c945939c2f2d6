"""`lamson dev` as a person has it: from `lamson gen` to an answer that is seen in the browser.

One project and one `lamson dev` for all tests of this file, one browser for those that need one.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import smtplib
import subprocess
import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from lamson.cli.project import gen_command
from tests.examples.projects import PLUGINS, generate
from tests.waiting import free_port, listening, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

CHROMIUM = shutil.which("chromium") or ""
AXE = Path(__file__).with_name("accessibility.js")
HOSTILE = """\
<script>fetch("{there}/script")</script><svg onload='fetch("{there}/svg")'></svg>
<a id=js href='javascript:fetch("{there}/js")'>one</a>
<a href='data:text/html,<script>fetch("{there}/data")</script>'>two</a>
<style>@import "{there}/import"; body {{ background: url({there}/body) }}</style>
<p style='background:url({there}/style)'>p</p><img src='{there}/img'>
<form action='{there}/form'><input name=a autofocus onfocus='fetch("{there}/focus")'></form>
<meta http-equiv=refresh content='0;url={there}/refresh'><iframe src='{there}/frame'></iframe>
<link rel=stylesheet href='{there}/link'><object data='{there}/object'></object>
<b id=shown>words of a stranger</b>
"""


class Dev:
    """A running `lamson dev`, and what it said."""

    def __init__(self, project: Path, port: int, output: Path) -> None:
        self.project = project
        self.port = port
        self._output = output
        self.lmtp = 0
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, environment: dict[str, str]) -> None:
        self.lmtp = int(environment["LAMSON_LMTP__LISTEN"].rpartition(":")[2])
        with self._output.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "lamson", "dev", "-port", str(self.port)],
                cwd=self.project,
                env=environment,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait_for(lambda: "dev: open " in self.said, lambda: f"its address:\n{self.said}")

    @property
    def said(self) -> str:
        return self._output.read_text(errors="replace")

    @property
    def address(self) -> str:
        found = re.search(r"open (http://\S+)", self.said)
        assert found is not None
        return found[1]

    def write(self, client: httpx.Client, **fields: str) -> str:
        """Send the form, as a browser without scripts does; gives the page that follows."""
        token = re.search(r'name="csrf" value="([^"]+)"', client.get("/write").text)
        assert token is not None
        form = {"sender": "", "to": "", "cc": "", "subject": "", "body": "", "html": ""}
        sent = {"csrf": token[1], "answers": "", **form, **fields}
        answer = client.post("/write", files={name: (None, one) for name, one in sent.items()})
        return answer.text


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """Its ports are free, whatever else runs here."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LAMSON_")}
    return {
        **kept,
        "LAMSON_LMTP__LISTEN": f"127.0.0.1:{free_port()}",
        "LAMSON_SUBMISSION__SERVER": f"127.0.0.1:{free_port()}",
        "LAMSON_LOG_FORMAT": "json",  # as in production: here errors are for a person all the same
    }


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Iterator[Dev]:
    place = tmp_path_factory.mktemp("dev")
    gen_command.main(["-project", str(place / "guest")], standalone_mode=False)
    one = Dev(place / "guest", free_port(), place / "out")
    one.start(environment)
    yield one
    if one.process is not None and one.process.poll() is None:
        one.process.terminate()
        one.process.wait(60)


@pytest.fixture
def client(dev: Dev) -> Iterator[httpx.Client]:
    """Somebody who is in, without scripts."""
    with entered(dev) as client:
        yield client


@contextmanager
def entered(dev: Dev) -> Iterator[httpx.Client]:
    here = f"http://127.0.0.1:{dev.port}"
    with httpx.Client(base_url=here, follow_redirects=True, timeout=60) as client:
        assert client.get(dev.address).status_code == 200
        yield client


def passes(project: Path, test: Path) -> str:
    """Run a test of a project; gives what it says where it does not pass, or is skipped."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(test)],
        cwd=project,
        env={**os.environ, **PLUGINS},
        capture_output=True,
        text=True,
        check=False,
    )
    is_good = done.returncode == 0 and "skipped" not in done.stdout
    return "" if is_good else done.stdout + test.read_text()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not CHROMIUM:
        pytest.skip("needs Chromium: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page whose console stays silent: a violation of its policy would be told there."""
    context = browser.new_context()
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda one: problems.append(one.text) if one.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    yield page
    context.close()
    assert problems == []


@pytest.mark.browser
def test_a_mail_is_written_and_its_answer_seen(dev: Dev, page: Any) -> None:
    """As a person clicks: write, see the answer come, answer it, and have a test made of it."""
    page.goto(dev.address)
    assert "key=" not in page.url
    page.get_by_role("link", name="Write the first one").click()
    page.get_by_label("From").fill("zed@example.com")
    page.get_by_label("To", exact=True).fill("guestbook@test.com")
    page.get_by_label("Subject").fill("Hello")
    page.get_by_label("Text", exact=True).fill("What is this?")
    page.get_by_role("button", name="Send it").click()
    page.get_by_role("link", name="Please sign our guest book").wait_for()  # comes by itself
    page.get_by_role("link", name="Answer").click()
    quoted = page.get_by_label("Text", exact=True).input_value()
    assert "> this is the guest book of test.com" in quoted
    page.get_by_label("Text", exact=True).fill(f"Zed was here.{quoted}")
    page.get_by_role("button", name="Send it").click()
    page.get_by_text("* Zed was here.").wait_for()
    page.get_by_role("link", name="As test").click()
    with page.expect_download() as saved:
        page.get_by_role("link", name="Save as").click()
    test = dev.project / "tests" / saved.value.suggested_filename
    saved.value.save_as(test)
    assert passes(dev.project, test) == ""
    assert "zed.reply(first_answer, 'Zed was here.')" in test.read_text()


@pytest.mark.browser
def test_hostile_mail_loads_nothing_and_runs_nothing(
    dev: Dev, client: httpx.Client, page: Any
) -> None:
    there = f"http://127.0.0.1:{free_port()}"
    cells = "<table><tr>" + "<td>" * 1_000_000
    for number, html in enumerate((HOSTILE.format(there=there), cells)):
        subject = f"hostile{number} <script>fetch('{there}/subject')</script>"
        fields = {"sender": "eve@example.com", "to": "anybody@test.com", "subject": subject}
        dev.write(client, **fields, body="x", html=html)
    asked: list[str] = []
    page.on("request", lambda one: asked.append(one.url))
    page.goto(dev.address)
    page.get_by_role("searchbox").fill("hostile0")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="hostile0").first.click()
    page.get_by_role("link", name="HTML", exact=True).click()
    frame = page.frame_locator("iframe")
    frame.locator("b").wait_for()
    assert frame.locator("b").inner_text() == "words of a stranger"
    assert frame.locator("script, form, iframe, object, link, svg, meta[http-equiv]").count() == 0
    frame.get_by_text("one", exact=True).click()
    assert page.evaluate("document.querySelector('iframe').contentDocument") is None
    page.goto(f"http://127.0.0.1:{dev.port}/?q=hostile1")
    page.get_by_role("link", name="hostile1").first.click()
    page.get_by_role("link", name="HTML", exact=True).click()
    page.frame_locator("iframe").locator("td").first.wait_for(state="attached")
    ours = f"http://127.0.0.1:{dev.port}/"
    assert [url for url in asked if not url.startswith((ours, "data:"))] == []


@pytest.mark.browser
def test_each_page_is_accessible(dev: Dev, client: httpx.Client, browser: Any) -> None:
    """Landmarks, names, contrast in both schemes, and nothing wider than a telephone."""
    dev.write(client, sender="ann@example.com", to="guestbook@test.com", subject="Hi", body="x")
    (mail, *_) = wait_for(
        lambda: re.findall(r'href="(/mail/journal/[^"]+)"', client.get("/").text), "the mail"
    )
    places = ["/", "/with?with=ann@example.com", "/write", "/outbox", "/states", "/routes"]
    places += [f"{mail}?show=parts", f"{mail}?show=header", "/errors", "/templates"]
    places += ["/states?author=ann@example.com"]
    long = {"sender": "bob@example.com", "to": f"{'x' * 60}@test.com", "subject": "s" * 100}
    dev.write(client, **long, body="t" * 200)
    places += ["/with?with=bob@example.com"]
    found = []
    context = browser.new_context(viewport={"width": 360, "height": 740}, bypass_csp=True)
    page = context.new_page()
    page.goto(dev.address)
    for place in places:
        page.goto(f"http://127.0.0.1:{dev.port}{place}", wait_until="load")
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            problems = page.evaluate(AXE.read_text())
            found += [f"{scheme} {place}: {one}" for one in problems]
    context.close()
    assert found == []


@pytest.mark.browser
def test_a_page_that_is_used_stays_as_it_is(dev: Dev, client: httpx.Client, page: Any) -> None:
    """Where somebody is in it by the keyboard, has chosen words, or is about to leave it."""

    def comes(subject: str) -> None:
        dev.write(
            client, sender="ann@example.com", to="guestbook@test.com", subject=subject, body="x"
        )

    comes("The first")
    page.goto(dev.address)
    page.get_by_role("link", name="ann@example.com").first.focus()
    comes("The second")
    news = page.get_by_role("link", name="There is something new")
    news.wait_for()
    assert page.evaluate("document.activeElement.textContent") == "ann@example.com"
    news.click()
    page.get_by_role("link", name="The second").first.wait_for()
    held: list[Any] = []
    page.route("**/outbox", lambda route: held.append(route))
    page.evaluate(
        "document.querySelector(\"a[href='/outbox']\").click(); document.activeElement.blur()"
    )
    comes("The third")
    for _ in range(2):  # the second was asked for after the mail had come
        page.wait_for_event("response", lambda one: one.url.endswith("/pulse"))
    held[0].continue_()
    page.wait_for_url("**/outbox")


def test_mail_of_anybody_is_shown_with_what_became_of_it(dev: Dev, client: httpx.Client) -> None:
    """What the window did not write itself: by the journal, which is on in development."""
    lmtp = dev.lmtp
    with smtplib.LMTP("127.0.0.1", lmtp) as server:
        server.sendmail("eve@example.com", ["guestbook@test.com"], "Subject: from afar\n\nHello\n")
    (mail,) = re.findall(r'href="(/mail/journal/[^"]+)">from afar', client.get("/?q=afar").text)[
        -1:
    ]
    page = client.get(mail).text
    assert "app.handlers.sample.START" in page
    assert "SIGNING" in page
    assert "Hello" in page
    assert mail in client.get("/states?author=eve@example.com").text


@pytest.fixture
def desk(tmp_path: Path, environment: dict[str, str]) -> Iterator[Dev]:
    """Another one, of the helpdesk."""
    one = Dev(generate("helpdesk", tmp_path / "desk"), free_port(), tmp_path / "out")
    ports = {
        name: f"127.0.0.1:{free_port()}"
        for name in ("LAMSON_LMTP__LISTEN", "LAMSON_SUBMISSION__SERVER")
    }
    one.start({**environment, **ports})
    yield one
    assert one.process is not None
    one.process.terminate()
    one.process.wait(60)


def test_who_answers_what_another_caused_gets_a_test_that_passes(desk: Dev) -> None:
    with entered(desk) as client:

        def told(who: str) -> list[str]:
            """The ids of the mail with somebody that is about it."""
            page = client.get("/with", params={"with": who}).text
            return re.findall(r'href="/mail/([^"]+)">[^<]*Fire', page)

        mail = {"subject": "Fire", "body": "The printer is on fire."}
        desk.write(client, sender="zed@example.com", to="support@test.com", **mail)
        for agent in ("ann@example.org", "bob@example.org"):
            id, *_ = wait_for(partial(told, agent), f"mail to {agent}")
            form = client.get("/write", params={"answer": id, "from": agent}).text
            to = re.search(r'name="to" value="([^"]+)"', form)
            assert to is not None
            answer = {"answers": id, "subject": "Re: Fire", "body": "Use water."}
            desk.write(client, sender=agent, to=to[1], **answer)
        conversation = "/with?with=zed@example.com"
        wait_for(lambda: client.get(conversation).text.count("Use water") == 2, "their answers")
        for agent in ("ann@example.org", "bob@example.org"):
            saved = client.get("/test", params={"with": agent, "save": "1"})
            test = desk.project / "tests" / f"{agent[:3]}_tests.py"
            test.write_text(saved.text)
            assert "first_mail_to" in saved.text
            assert passes(desk.project, test) == ""


def test_without_a_browser_the_same_works(dev: Dev, client: httpx.Client) -> None:
    page = dev.write(client, sender="bob@example.com", to="nobody@example.org", subject="x")
    assert "550 5.1.1" in page
    assert "does not match" in client.get("/routes?address=nobody@example.org").text
    assert "[entries[0].words]" in client.get("/templates?name=mail/thanks.txt").text
    page = dev.write(client, sender="no address", to="guestbook@test.com")
    assert 'role="alert"' in page
    assert 'value="no address"' in page  # what was typed is there still


def test_code_is_taken_in_and_errors_are_shown(dev: Dev, client: httpx.Client) -> None:
    handlers = dev.project / "app" / "handlers" / "sample.py"
    before = handlers.read_text()
    broken = before.replace("    delivery.forward()\n", "    raise KeyError('surprise')\n")
    try:
        handlers.write_text(broken)
        wait_for(lambda: dev.said.count("reloaded: every") >= 1, lambda: dev.said)
        dev.write(client, sender="bob@example.com", to="anybody@test.com", subject="now")
        line = broken.splitlines().index("    raise KeyError('surprise')") + 1
        place = f"app/handlers/sample.py:{line}"
        wait_for(lambda: place in client.get("/errors").text, "the line that did it")
        wait_for(lambda: f"> {place}" in dev.said, lambda: dev.said)
        handlers.write_text(before + "def broken(:\n")
        last = len(before.splitlines()) + 1
        wait_for(
            lambda: f"app/handlers/sample.py:{last}" in client.get("/errors").text,
            lambda: f"the error of the syntax:\n{dev.said}",
        )
        # The code as it was before it broke serves on.
        page = dev.write(client, sender="bob@example.com", to="anybody@test.com", subject="still")
        assert "451" in page
    finally:
        number = dev.said.count("reloaded: every")
        handlers.write_text(before)
    wait_for(lambda: dev.said.count("reloaded: every") > number, lambda: dev.said)
    page = dev.write(client, sender="bob@example.com", to="anybody@test.com", subject="again")
    assert "250 2.0.0 Ok" in page


def test_settings_that_cannot_be_are_told_and_nothing_ends_with_them(dev: Dev) -> None:
    settings = dev.project / "config" / "settings.py"
    before, told = settings.read_text(), dev.said.count("changed: config/settings.py")
    try:
        settings.write_text(before.replace("sqlite:///run/lamson.db", "mysql://here/there"))
        wait_for(lambda: "'mysql://here/there' cannot be used" in dev.said, lambda: dev.said)
    finally:
        settings.write_text(before)
    wait_for(
        lambda: dev.said.count("changed: config/settings.py") == told + 2,
        lambda: f"the settings are taken in again:\n{dev.said}",
    )


def test_the_sink_does_what_it_is_told(dev: Dev, client: httpx.Client) -> None:
    token = re.search(r'name="csrf" value="([^"]+)"', client.get("/").text)
    assert token is not None

    def be(mood: str) -> None:
        client.post("/mood", data={"csrf": token[1], "mood": mood})

    be("delay")
    dev.write(client, sender="cat@example.com", to="guestbook@test.com", subject="Hi")
    wait_for(lambda: "451 4.7.1 Put off" in client.get("/outbox").text, "it waits")
    be("refuse")
    dev.write(client, sender="dog@example.com", to="guestbook@test.com", subject="Hi")
    wait_for(lambda: "lamson dev was told to" in client.get("/undeliverable").text, "it is kept")
    be("accept")


def test_it_ends_with_all_that_it_started(dev: Dev, environment: dict[str, str]) -> None:
    """The last test. Of its sudden death: tests/unit/cli/test_child.py."""
    assert dev.process is not None
    lmtp = dev.lmtp
    assert listening(lmtp)
    again = subprocess.run(
        [sys.executable, "-m", "lamson", "dev"],
        cwd=dev.project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.returncode == os.EX_UNAVAILABLE
    assert "runs already" in again.stderr
    dev.process.send_signal(signal.SIGINT)
    assert dev.process.wait(60) == 0
    wait_for(lambda: not listening(lmtp) and not listening(dev.port), "nobody listens")
