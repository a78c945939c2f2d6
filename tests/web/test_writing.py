"""Mail that is written in the window, a conversation as a test, and what is asked of the code."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from lamson.cli import begin
from lamson.cli import project as making
from lamson.cli.catching import bounce
from lamson.cli.watch import Watch
from lamson.errors import LamsonError
from lamson.message.message import Message
from lamson.message.request import MailRequest
from lamson.smtp.envelope import Envelope, Recipient
from lamson.web.as_test import as_test, file_name
from lamson.web.development import Faults
from lamson.web.inquiry import Sample, _answer, inquire
from lamson.web.mails import Mail
from lamson.web.writing import Draft, compose

if TYPE_CHECKING:
    from pathlib import Path

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


def _came(
    content: bytes, note: str = "250 2.0.0 Ok", to: str = "app@test.com"
) -> tuple[Mail, bytes]:
    message = Message(content)
    answered = next(iter(message.in_reply_to), "")
    from_, subject = ("zed@example.com",), message.subject
    return Mail("x/1", "in", 0.0, from_, (to,), subject, 1, "", answered, note), content


def _went(content: bytes) -> tuple[Mail, bytes]:
    id = Message(content).message_id or ""
    return Mail("x/2", "out", 0.0, ("zed@example.com",), ("app@test.com",), "", 1, id), content


def test_a_conversation_becomes_a_test() -> None:
    asked = b"From: s-1@test.com\nMessage-ID: <1@t>\nSubject: Sign\n\nPlease sign here.\n"
    code = as_test(
        "zed@example.com",
        [
            _came(b"Subject: Hello\n\nWhat is this?\n"),
            _went(asked),
            _came(b"Subject: Re: Sign\nIn-Reply-To: <1@t>\n\nZed.\n", to="s-1@test.com"),
            _came(b"Subject: No\n\nx\n", "550 5.1.1 No", "nobody@test.com"),
            _came(b"Subject: F\nContent-Type: text/html\n\n<b>x</b>\n"),
        ],
    )
    compile(code, "a_test.py", "exec")
    assert "first_answer = zed.say('app@test.com', 'Hello', 'What is this?')" in code
    assert "assert first_answer[\"Subject\"] == 'Sign'" in code
    assert "assert 'Please sign here.' in first_answer.body" in code
    assert "assert zed.reply(first_answer, 'Zed.') is None" in code
    assert "with pytest.raises(Refused):" in code
    assert "zed.deliver('app@test.com', (" in code
    assert file_name("Zed+1@example.com") == "zed_1_example_com_tests.py"


@pytest.mark.parametrize(
    "who", ['a"""b@x.example', "class@x.example", "9@x.example", "\\@x.example"]
)
def test_a_conversation_with_code_in_it_stays_a_text(who: str) -> None:
    evil = b'Subject: """\n\n"""; import os; os.abort()\n\'\'\'\\\n'
    tree = compile(as_test(who, [_came(evil)]), "a_test.py", "exec")
    assert "os" not in tree.co_names


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
