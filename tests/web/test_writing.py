"""Mail that is written in the window, a conversation as a test, and what is asked of the code."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lamson.cli import begin
from lamson.cli import project as making
from lamson.cli.catching import bounce
from lamson.cli.watch import Watch
from lamson.errors import LamsonError
from lamson.message.message import Message
from lamson.message.request import MailRequest
from lamson.smtp.envelope import Envelope, Recipient
from lamson.web import story
from lamson.web.as_test import as_test, file_name
from lamson.web.development import Faults
from lamson.web.inquiry import Sample, _answer, inquire
from lamson.web.mails import Mail, Page
from lamson.web.writing import Draft, compose

if TYPE_CHECKING:
    from lamson.web.mails import Direction, Place
    from tests.web.conftest import House, Visitor


@pytest.fixture
def project(tmp_path: Path) -> Path:
    directory = tmp_path / "guest"
    making.generate(directory, making.SKELETON)
    making.generate(directory, begin.directory(None), force=True)
    return directory


def test_a_mail_is_handed_over_with_its_files(house: House, visitor: Visitor) -> None:
    page = visitor.post(
        "/write",
        sender="zed@example.com",
        to="Ann <ann@test.com>, b@test.com",
        cc="c@test.com",
        subject="one\r\nBcc: evil@example.com",
        body="text",
        html="<b>bold</b>",
        files={"files": ("a.txt", b"content", "text/plain")},
    )
    assert page.url.path == "/with"
    assert "ann@test.com: 250 2.0.0 Ok" in page.text
    ((sender, recipients, content),) = house.handed
    assert (sender, recipients) == ("zed@example.com", ["ann@test.com", "b@test.com", "c@test.com"])
    message = Message(content)
    assert "Bcc" not in message
    assert (message.html or "").strip() == "<b>bold</b>"
    assert [part.content for part in message.attachments] == [b"content"]
    (came,) = house.came.keys()
    visitor.post("/replay", id=f"came/{came}")
    assert house.handed[1][2] == content.replace(b"\r\n", b"\n")


def test_who_has_a_copy_elsewhere_is_not_refused_here(house: House, visitor: Visitor) -> None:
    house.unrouted |= {"zed@example.org", "typo@test.com"}
    form = {"sender": "Zed Shaw <zed@example.com>", "to": "ann@test.com", "subject": "Hi"}
    page = visitor.post("/write", **form, cc="zed@example.org, typo@test.com").text
    assert "zed@example.org: 550" not in page
    assert "typo@test.com: 550 5.1.1 No route" in page
    ((sender, recipients, content),) = house.handed
    assert (sender, len(recipients)) == ("zed@example.com", 3)
    message = Message(content)
    assert str(message.from_[0]) == "Zed Shaw <zed@example.com>"
    assert [one.address for one in message.cc] == ["zed@example.org", "typo@test.com"]


@pytest.mark.parametrize(
    "form", [{"sender": "zed", "to": "a@b.example"}, {"sender": "a@b.example", "to": ""}]
)
def test_what_cannot_be_sent_is_told_and_stays_in_the_form(
    house: House, visitor: Visitor, form: dict[str, str]
) -> None:
    page = visitor.post("/write", body="long thoughts", **form)
    assert page.status_code == 422
    assert 'role="alert"' in page.text
    assert "long thoughts" in page.text
    assert house.handed == []


def test_an_answer_is_one_to_that_very_mail(house: House, visitor: Visitor) -> None:
    id = house.went(
        b"From: app@test.com\r\nReply-To: signed-x@test.com\r\nMessage-ID: <1@test.com>\r\n"
        b"Subject: Asked\r\nDate: Sun, 29 Nov 2026 12:00:00 +0000\r\n\r\nWho are you?\r\n"
    )
    page = visitor.get(f"/write?answer={id}").text
    assert 'value="signed-x@test.com"' in page
    assert "&gt; Who are you?" in page
    visitor.post("/write", answers=id, sender="zed@example.com", to="signed-x@test.com", body="Zed")
    assert Message(house.handed[0][2])["In-Reply-To"] == "<1@test.com>"


def test_too_many_recipients_are_refused() -> None:
    many = ",".join(f"u{number}@test.com" for number in range(60))
    with pytest.raises(ValueError, match="50 recipients"):
        compose(Draft(sender="zed@example.com", to=many))


@dataclass
class Said:
    """Mail that came and went, in the order in which it is added, as the window knows it."""

    contents: dict[str, bytes] = field(default_factory=dict)
    mails: list[Mail] = field(default_factory=list)

    def came(
        self,
        content: bytes,
        note: str = "250 2.0.0 Ok",
        to: str = "app@test.com",
        *,
        who: str = "zed@example.com",
        **more: Any,
    ) -> None:
        self._add("in", content, who, to, note=note, **more)

    def went(self, content: bytes, to: str = "zed@example.com", **more: Any) -> None:
        message = Message(content)
        answered = next(iter(message.in_reply_to), "")
        from_ = message.from_[0].address
        self._add("out", content, to, from_, in_reply_to=answered, **more)

    def _add(
        self, direction: Direction, content: bytes, theirs: str, ours: str, **more: Any
    ) -> None:
        message, at = Message(content), float(len(self.mails) + 1)
        id, who = f"x/{at:.0f}", tuple(theirs.split())
        message_id = message.message_id or ""
        mail = Mail(id, direction, at, who, (ours,), message.subject, 1, message_id)
        self.mails.append(replace(mail, **more))
        self.contents[id] = content

    def page(
        self, limit: int, *, before: Place | None = None, correspondent: str = "", search: str = ""
    ) -> Page:
        assert not search
        found = [one for one in self.mails if before is None or one.place < before]
        if correspondent:  # as by the journal: to several, it is with the first
            found = [one for one in found if one.correspondents[0] == correspondent]
        return Page(found[::-1][:limit], None)

    def get(self, id: str) -> Mail | None:
        return next((one for one in self.mails if one.id == id), None)

    def content(self, id: str) -> bytes | None:
        return self.contents.get(id)

    def answers(self, mail: Mail) -> list[Mail]:
        raise AssertionError

    def marker(self) -> str:
        raise AssertionError

    def test(self, who: str = "zed@example.com") -> str:
        code = as_test(who, story.tell(self, who))
        compile(code, "a_test.py", "exec")
        return code


TOKEN = "a67pqr2sweetandlongenough"


def test_a_conversation_becomes_a_test() -> None:
    said = Said()
    said.came(b"Message-ID: <0@t>\nSubject: Hello\n\nWhat is this?\n")
    said.went(
        b"From: s-1@test.com\nMessage-ID: <1@t>\nIn-Reply-To: <0@t>\nSubject: Sign\n\n"
        b"Please sign here.\n"
    )
    said.came(b"Subject: Re: Sign\nIn-Reply-To: <1@t>\n\nZed.\n", to="s-1@test.com")
    said.came(b"Subject: No\n\nx\n", "550 5.1.1 No", "nobody@test.com")
    said.came(b"Subject: F\nContent-Type: text/html\n\n<b>x</b>\n")
    code = said.test()
    assert "first_answer = zed.say('app@test.com', 'Hello', 'What is this?')" in code
    assert "assert first_answer[\"Subject\"] == 'Sign'" in code
    assert "assert 'Please sign here.' in first_answer.body" in code
    assert "assert zed.reply(first_answer, 'Zed.') is None" in code
    assert "with pytest.raises(Refused):" in code
    assert "zed.deliver('app@test.com', (" in code
    assert file_name("Zed+1@example.com") == "zed_1_example_com_tests.py"


@pytest.mark.parametrize("who", ["ann@test.com", "bob@test.com"])
@pytest.mark.parametrize("sent", [None, ("x/2", "x/3")])
def test_what_another_caused_is_caused_in_the_test(who: str, sent: tuple[str, ...] | None) -> None:
    """By the journal, which has it with the first of those whom it went to, or by In-Reply-To."""
    said = Said()
    said.came(b"Message-ID: <0@t>\nSubject: Help\n\nIt is broken.\n", sent=sent)
    link = b"" if sent else b"In-Reply-To: <0@t>\n"
    desk = f"desk+{TOKEN}@test.com"
    told = f"From: {desk}\nMessage-ID: <1@t>\nSubject: Help\n".encode() + link
    said.went(told + b"\nSomebody needs help.\n", "ann@test.com bob@test.com")
    said.went(b"From: s@test.com\nMessage-ID: <2@t>\nSubject: Got it\n" + link + b"\nWell\n")
    answer = b"Subject: Re: Help\nIn-Reply-To: <1@t>\n\nTurn it on.\n"
    said.came(answer, to=desk, who=who, sent=None if sent is None else ("x/5",))
    said.went(b"From: s@test.com\nMessage-ID: <4@t>\nSubject: Re: Help\n\nTurn it on.\n")
    name = who[:3]
    code = said.test(who)
    assert "zed.say('app@test.com', 'Help', 'It is broken.')\n" in code
    assert f"first_mail_to_{name} = {name}.inbox[-1]\n" in code
    assert "assert 'Somebody needs help.' in first_mail_to" in code
    assert f"assert {name}.reply(first_mail_to_{name}, 'Turn it on.') is None\n" in code
    assert TOKEN not in code
    assert "skip" not in code
    assert "answer" not in code, "nobody answered"


def test_a_mail_that_leaves_for_each_by_itself_came_to_each() -> None:
    """A post to a list, and tracked mail: one Message-ID, and a row for each."""
    said = Said()
    post = b"From: zed@example.com\nMessage-ID: <0@t>\nSubject: Soup\n\nHow long is that?\n"
    said.came(post, sent=("x/2", "x/3"))
    said.went(post, "ann@test.com")
    said.went(post)
    code = said.test()
    assert "first_answer = zed.say('app@test.com', 'Soup'" in code
    assert "assert 'How long is that?' in first_answer.body" in code


@pytest.mark.parametrize(
    "link", [b"In-Reply-To: <1@t>\n", b"In-Reply-To: <gone@t>\n", b""], ids=["sent", "gone", "no"]
)
def test_what_is_missing_for_a_test_is_said(link: bytes) -> None:
    """A timer, say, made the application write."""
    said = Said()
    desk = f"desk+{TOKEN}@test.com"
    said.went(f"From: {desk}\nMessage-ID: <1@t>\nSubject: Well?\n\nWell?\n".encode(), "ann@x.test")
    said.came(b"Subject: Re: Well?\n" + link + b"\nYes\n", to=desk, who="ann@x.test")
    code = said.test("ann@x.test")
    assert "@pytest.mark.skip(reason=" in code
    assert "import pytest\n" in code
    assert f"    # Missing: {desk} was signed" in code
    assert "mailroom.wait()" in code, "and how to go on"


def test_what_was_not_kept_is_missing() -> None:
    said = Said()
    said.came(b"Subject: Hello\n\n", lack="Nothing that it says was kept")
    assert "# Missing: what it says was not kept" in said.test()


def test_before_anybody_wrote_there_is_no_test_to_run() -> None:
    said = Said()
    said.went(b"From: app@test.com\nMessage-ID: <1@t>\n\nNews\n")
    assert "@pytest.mark.skip(reason=" in said.test()


def test_whose_mail_caused_an_answer_is_not_guessed() -> None:
    """What came later may be the answer, or news: neither is claimed."""
    said = Said()
    said.came(b"Message-ID: <0@t>\nSubject: Hello\n\nx\n")
    said.went(b"From: app@test.com\nMessage-ID: <1@t>\nSubject: News\n\nNews of today\n")
    said.came(b"Message-ID: <2@t>\nSubject: Again\n\nx\n", sent=())
    said.came(b"Message-ID: <3@t>\nSubject: Waits\n\nx\n", sent=("x/9",))
    code = said.test()
    assert (
        "    # Whether this was answered is not known.\n    zed.say('app@test.com', 'Hello'" in code
    )
    assert "assert zed.say('app@test.com', 'Again', 'x') is None" in code
    assert "known.\n    zed.say('app@test.com', 'Waits', 'x')" in code
    assert "News" not in code


def test_where_a_handler_failed_the_test_plays_it_and_expects_no_refusal() -> None:
    """It passes once the handler is mended, be the mail put off then or kept as undeliverable."""
    said = Said()
    said.came(b"Subject: One\n\nx\n", "451 4.3.0 It failed\nimport os", sent=())
    said.came(b"Subject: Two\n\nx\n", "KeyError('x')", sent=(), is_undeliverable=True)
    said.came(b"Subject: Three\n\nx\n", "KeyError('x')", is_undeliverable=True)  # of a queue
    code = said.test()
    assert (
        "# Then: 451 4.3.0 It failed?import os\n    zed.say('app@test.com', 'One', 'x')\n" in code
    )
    assert "# Then: KeyError('x')\n    zed.say('app@test.com', 'Two', 'x')\n" in code
    assert "Three" not in code, "it stands there as it came, too"
    assert "Refused" not in code


@pytest.mark.parametrize(
    "who", ['a"""b@x.example', "class@x.example", "9@x.example", "\\@x.example"]
)
def test_a_conversation_with_code_in_it_stays_a_text(who: str) -> None:
    said = Said()
    evil = b'Subject: """\n\n"""; import os; os.abort()\n\'\'\'\\\n'
    said.came(evil, who=who, lack="\nimport os\r\x00")
    assert "os" not in compile(said.test(who), "a_test.py", "exec").co_names


def test_errors_are_placed_in_the_project(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("one\ntwo\nthree\n")
    faults = Faults(tmp_path)
    trace = f'ERROR\n  File "{tmp_path}/app.py", line 2, in f\n  File "/x.py", line 1'
    fault = faults.add(trace, 1.0)
    assert fault.place == "app.py:2"
    assert (2, "two", True) in fault.lines
    assert faults.add("lamson: app.py:3: syntax error", 1.0).place == "app.py:3"
    assert faults.add("../../etc/passwd:1: no", 1.0).place == ""
    assert [one.number for one in faults.all()] == [3, 2, 1]
    faults.clear()
    assert (faults.all(), faults.count) == ([], 3)


TRACE = """\
2026-11-29T20:32:35.901+00:00 ERROR lamson: id=1.1 recipient=a@b: handler failed: KeyError('x')
    Traceback (most recent call last):
      File "{0}/app.py", line 1, in f
        1/0
        ~^~
    ZeroDivisionError: division by zero

    The above exception was the direct cause of the following exception:

    Traceback (most recent call last):
      File "{0}/app.py", line 2, in f
        raise
    lamson.errors.TemplateError: {0}/app/a.txt:5: 'entries' is not defined
    given were: <b>
"""
SAID = [
    (TRACE, "lamson.errors.TemplateError: app/a.txt:5: 'entries' is not defined\ngiven were: <b>"),
    (
        "2026-11-29T20:32:44.541+00:00 ERROR lamson: worker 7 stays: its replacement failed:"
        " {0}/app.py:3: 'x@(y)' names the capture (y), which is not known",
        "'x@(y)' names the capture (y), which is not known",
    ),
    ("lamson: config/settings.py: no database", "config/settings.py: no database"),
    ("lamson: app.py:3: ", "app.py:3:"),
    ("t CRITICAL lamson: it ended\n    Traceback (most recent call last):", "it ended"),
    (
        "t ERROR lamson: failed\n"
        "      + Exception Group Traceback (most recent call last):\n"
        '      |   File "{0}/app.py", line 2, in f\n'
        "      | ExceptionGroup: two (1 sub-exception)\n"
        "      +-+---------------- 1 ----------------",
        "failed",
    ),
    ("", ""),
]


@pytest.mark.parametrize(("text", "message"), SAID)
def test_the_error_itself_is_shown(
    house: House, visitor: Visitor, tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "app.py").write_text("one\ntwo\nthree\n")
    faults = Faults(tmp_path)
    assert house.window.development is not None
    house.window.development.faults = faults
    assert faults.add(text.format(tmp_path), 1.0).message == message
    page = visitor.get("/errors").text
    assert escape(message).replace("&#x27;", "&#39;") in page.partition("<details")[0]


def test_an_error_of_any_length_has_a_message() -> None:
    assert len(Faults(Path("/")).add("lamson: " + "x" * 10**6, 1.0).message) == 2000


def test_changes_of_what_the_service_reads_are_seen(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("app", "run", ".git", "venv")]
    for folder in folders:
        folder.mkdir()
    (tmp_path / "venv" / "pyvenv.cfg").touch()
    watch = Watch([tmp_path])
    assert watch.changed() == []
    for folder in folders:
        (folder / "a.py").write_text("x")
    (tmp_path / "app" / "data.bin").touch()
    assert watch.changed() == [str(tmp_path / "app" / "a.py")]
    (tmp_path / "app" / "a.py").unlink()
    assert watch.changed() == [str(tmp_path / "app" / "a.py")]
    assert watch.changed() == []


def test_a_bounce_is_read_as_one() -> None:
    failed = b"Subject: x\r\nMessage-ID: <1@t>\r\n\r\nb"
    content = bounce("app@test.com", ["zed@example.com"], failed)
    assert MailRequest(content, Envelope(""), Recipient("app@test.com")).is_bounce
    assert b"Final-Recipient: rfc822; zed@example.com" in content


def test_the_code_is_asked_in_a_process_of_its_own(project: Path) -> None:
    explained = inquire(project, "explain", address="guestbook@test.com")
    assert explained["states"][0] == "app.handlers.sample.START"
    assert [one["matches"] for one in explained["routes"]] == [True, True, False, True]
    (project / "app" / "handlers" / "sample.py").write_text("import os\nos._exit(3)\n")
    with pytest.raises(LamsonError, match="ended the process"):
        inquire(project, "routes")


def test_templates_are_shown_with_sample_data(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.path", [])
    folder = project / "app" / "templates" / "mail"
    (folder / "both.html").write_text("<p>${who.name}, ${x[0]} ${x.call()}</p>")
    (folder / "both.sample.json").write_text(json.dumps({"who": {"name": "<Zed>"}}))
    question = {"project": str(project), "what": "preview", "template": "mail/both.html"}
    shown = _answer(question)
    assert "&lt;Zed&gt;" in shown["html"]
    assert (shown["given"], shown["made_up"]) == (["who"], ["x"])
    assert "mail/both.html" in _answer({**question, "what": "templates"})["templates"]
    with pytest.raises(LamsonError, match="no template"):
        _answer({**question, "template": "../../config/settings.py"})
    (folder / "both.sample.json").write_text("[]")
    with pytest.raises(LamsonError, match="expected an object"):
        _answer(question)
    assert len(Sample("x")) == 2
