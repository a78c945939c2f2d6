"""The thirty-second introduction: every line as typed, with a real mutt at the end.

It has fixed ports, 8823 and 8899; these tests fail, saying so, where something else has them.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from typing import TYPE_CHECKING, Any

import pexpect
import pytest

from lamson.storage.maildir import Maildir
from lamson.storage.tables import SCHEMA_REVISION
from tests.intro.shell import Shell
from tests.waiting import listening, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

SEND = (
    'lamson send -sender me@mydomain.com -to test@test.com -subject "My test." -body "Hi there."'
    " -port 8823"
)
START = ("lamson gen -project mymailserver", "cd mymailserver", "lamson syncdb", "lamson start")
LOG = "lamson log -queue run/queue -port 8899"


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """A prompt in an empty directory. What is started there has ended afterwards."""
    for port in (8823, 8899):
        assert not listening(port), f"port {port}, which the introduction needs, is taken"
    with Shell(tmp_path) as shell:
        yield shell
        if (tmp_path / "mymailserver" / "run").is_dir():
            shell.enter(f"cd {tmp_path}/mymailserver && lamson stop -ALL run -KILL")


def run(shell: Shell, line: str) -> str:
    """Type a line that has to work; gives what it shows."""
    status, output = shell.enter(line)
    assert status == 0, f"$ {line}\n{output}"
    return output


def messages(project: Path) -> list[str]:
    """What lies in run/queue, oldest first."""
    queue = Maildir(project / "run" / "queue")
    contents = map(queue.get, queue.keys())
    return [content.decode() for content in contents if content is not None]


def test_every_line_as_typed(shell: Shell, tmp_path: Path) -> None:
    project = tmp_path / "mymailserver"
    log = project / "logs" / "lamson.log"

    assert "made mymailserver" in run(shell, START[0])
    assert run(shell, START[1]) == ""
    assert run(shell, START[2]) == (
        f"lamson's tables: none -> {SCHEMA_REVISION}\nthe project's tables: none -> 0001\n"
    )
    started = run(shell, START[3])
    assert started.startswith("lamson is listening: LMTP on 127.0.0.1:8823\n")
    told = started.splitlines()[1:]  # who is root is told not to be
    assert [line.split(":")[1] for line in told] == [" started as root"] * (os.geteuid() == 0)
    assert run(shell, LOG) == (
        f"lamson log is listening: SMTP on 127.0.0.1:8899, storing in {project}/run/queue\n"
    )
    assert re.search(r"= 4 passed in .*=\n$", run(shell, "pytest"))
    assert "-sender ADDRESS" in run(shell, "lamson help -for send")
    assert run(shell, SEND) == "test@test.com: 250 2.0.0 Ok\n"

    wait_for(lambda: messages(project), "the mail in run/queue")
    [mail] = messages(project)
    assert "\nFrom: me@mydomain.com\n" in mail
    assert "\nTo: test@test.com\n" in mail
    assert "\nSubject: My test.\n" in mail
    assert mail.endswith("\n\nHi there.\n")

    wait_for(lambda: "submitted" in log.read_text(), log.read_text)
    way = [line.split() for line in run(shell, "less logs/lamson.log").splitlines()]
    mine = [words[1] for words in way if words[2].startswith("id=")]
    assert mine == ["received", "routed", "handled", "replied", "submitted"]
    assert len({words[2] for words in way if words[2].startswith("id=")}) == 1

    stopped = run(shell, "lamson stop -ALL run")
    assert re.fullmatch(r"stopped lamson \(pid \d+\)\nstopped log \(pid \d+\)\n", stopped)
    assert not listening(8823)
    assert not listening(8899)
    assert list((project / "run").glob("*.pid")) == []


def test_stop_says_where_nothing_runs(shell: Shell) -> None:
    for line in START[:3]:
        run(shell, line)
    assert run(shell, "lamson stop -ALL run") == "nothing is running\n"


class Mutt:
    """A real mutt on a terminal, driven as a person would."""

    def __init__(self, project: Path, environment: dict[str, str]) -> None:
        self._screen: Any = pexpect.spawn(
            "mutt -F muttrc",
            cwd=str(project),
            env=environment,
            encoding="utf-8",
            timeout=60,
            dimensions=(24, 80),
        )

    def shows(self, *texts: str) -> None:
        """Wait until the texts came, one after the other; colours may stand in between."""
        for text in texts:
            self._screen.expect_exact(text)

    def press(self, keys: str) -> None:
        self._screen.send(keys)

    def quit(self) -> None:
        self.press("q")
        self._screen.expect(pexpect.EOF)
        self._screen.close()
        assert self._screen.exitstatus == 0

    def kill(self) -> None:
        self._screen.close(force=True)


@pytest.fixture
def project(shell: Shell, tmp_path: Path) -> Path:
    """A generated project whose two servers run."""
    for line in (*START, LOG):
        run(shell, line)
    return tmp_path / "mymailserver"


@pytest.fixture
def mutt(shell: Shell, project: Path, tmp_path: Path) -> Iterator[Mutt]:
    """mutt in that project, once the introduction's mail has come out; its editor adds a line."""
    if shutil.which("mutt") is None:
        pytest.skip("mutt is not installed (Debian: apt-get install mutt)")
    run(shell, SEND)
    wait_for(lambda: messages(project), "the mail in run/queue")
    editor = tmp_path / "editor.py"
    editor.write_text(
        "import pathlib, sys\n"
        "draft = pathlib.Path(sys.argv[1])\n"
        "draft.write_text('Zed was here.\\n\\n' + draft.read_text())\n"
    )
    mutt = Mutt(project, {**shell.environment, "EDITOR": f"{sys.executable} {editor}"})
    yield mutt
    mutt.kill()


def test_mutt_shows_the_mail_and_sends_an_answer(project: Path, mutt: Mutt) -> None:
    mutt.shows("My test.")  # in the list
    mutt.press("\r")
    mutt.shows("Hi there.")
    mutt.press("r")
    mutt.shows("To: ", "test@test.com")
    mutt.press("\r")
    mutt.shows("Subject: ", "Re: My test.")
    mutt.press("\r")
    mutt.shows("Include message in reply?")
    mutt.press("y")
    mutt.shows("y:Send")
    mutt.press("y")
    mutt.shows("Mail sent.")

    wait_for(lambda: len(messages(project)) == 2, "the answer in run/queue")
    answer = messages(project)[1]
    assert "\nFrom: Me <me@mydomain.com>\n" in answer
    assert "\nTo: test@test.com\n" in answer
    assert "\nSubject: Re: My test.\n" in answer
    assert "\nZed was here.\n" in answer
    assert "\n> Hi there.\n" in answer
    mutt.press("q")
    mutt.quit()


def test_a_conversation_by_mutt(project: Path, mutt: Mutt) -> None:
    mutt.shows("My test.")
    mutt.press("m")
    mutt.shows("To: ")
    mutt.press("guestbook@test.com\r")
    mutt.shows("Subject: ")
    mutt.press("Hello\r")
    mutt.shows("y:Send")
    mutt.press("y")
    mutt.shows("Mail sent.")
    # The first mail, this one forwarded, and the answer to it.
    wait_for(lambda: len(messages(project)) == 3, lambda: f"the answer: {messages(project)}")

    mutt.press("$")
    mutt.shows("Please sign our guest book")
    mutt.press("/~s guest\r\r")
    mutt.shows("Answer this message")
    mutt.press("r")
    mutt.shows("To: ", "guestbook-")
    mutt.press("\r")
    mutt.shows("Subject: ")
    mutt.press("\r")
    mutt.shows("Include message in reply?")
    mutt.press("y")
    mutt.shows("y:Send")
    mutt.press("y")
    mutt.shows("Mail sent.")
    wait_for(lambda: len(messages(project)) == 5, lambda: f"the thanks: {messages(project)}")
    assert any("Thank you, me@mydomain.com!" in message for message in messages(project))
    mutt.press("q")
    mutt.quit()
