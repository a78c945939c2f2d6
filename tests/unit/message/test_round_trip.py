"""What we write is read back by others as it was put in.

By the email package, by the package mail-parser, and, where node and its packages are installed, by
npm's mailparser and postal-mime.
"""

from __future__ import annotations

import base64
import email
import json
import os
import shutil
import subprocess
from email import policy
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from lamson.message.mailboxes import Mailbox
from lamson.message.response import MailResponse

if TYPE_CHECKING:
    from email.message import EmailMessage

_LETTERS = st.characters(
    exclude_categories=("Cc", "Cs", "Cn", "Co", "Zl", "Zp"), exclude_characters="\ufeff\u00ad"
)
_WORDS = st.text(_LETTERS, max_size=40).map(lambda text: " ".join(text.split()))
_NAMES = _WORDS | st.sampled_from(
    [
        "Müller, Jörg",
        'the "x"',
        "a@b.c",
        "=?utf-8?q?x?=",
        "日本 太郎",
        "O'Hara (Joe)",
        "a\\b",
        "<x>",
    ]
)
_SUBJECTS = st.text(_LETTERS, max_size=300).map(lambda text: " ".join(text.split()))
_TEXTS = st.text(st.sampled_from("aé日 .-=\n\t€😀") | _LETTERS, max_size=400) | st.sampled_from(
    ["x" * 3000, "a line \n" * 3, ".\n..\n", "From me\n", "-- \nZed\n", "trailing  \n\n\n"]
)
_DATA = st.binary(max_size=300)
_FILES = (
    st.text(_LETTERS, min_size=1, max_size=60)
    .map(str.strip)
    .filter(lambda name: name and not set(name) & set("/\\") and len(name.encode()) < 255)
)


class Letter(NamedTuple):
    name: str
    subject: str
    text: str
    html: str | None
    files: list[tuple[str, bytes]]

    def written(self) -> bytes:
        message = MailResponse(
            to=Mailbox(self.name, "zed@example.com"),
            sender=Mailbox(self.name, "list@test.com"),
            subject=self.subject,
            body=self.text,
            html=self.html,
        )
        message["Message-ID"] = "<1@test.com>"
        for name, data in self.files:
            message.attach(data, filename=name)
        content = message.to_bytes()
        assert max(map(len, content.split(b"\r\n"))) <= 998
        assert content.isascii()
        return content


_LETTER = st.builds(
    Letter,
    _NAMES,
    _SUBJECTS,
    _TEXTS,
    st.none() | _TEXTS.map(lambda text: f"<p>{text}</p>"),
    st.lists(st.tuples(_FILES, _DATA), max_size=2, unique_by=lambda file: file[0]),
)
_MANY = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    phases=[Phase.generate],
)


def lines(text: str | None) -> str:
    """A text, whatever its line ends are and however many stand at its end."""
    return (text or "").replace("\r\n", "\n").rstrip("\n")


def plain(text: str) -> str:
    """With bare CR as they are sent: as line ends."""
    return lines(text.replace("\r\n", "\n").replace("\r", "\n"))


@_MANY
@given(_LETTER)
def test_by_the_email_package(letter: Letter) -> None:
    read: EmailMessage = email.message_from_bytes(letter.written(), policy=policy.default)
    assert not read.defects
    sender = read["From"].addresses[0]
    # CPython shows the blank between two encoded words of a name, against RFC 2047 section 6.2.
    assert sender.display_name.replace(" ", "") == letter.name.replace(" ", "")
    assert sender.addr_spec == "list@test.com"
    assert read["Subject"] == letter.subject
    body = read.get_body(("plain",))
    assert body is not None
    assert lines(body.get_content()) == plain(letter.text)
    html = read.get_body(("html",))
    assert (html is None) is (letter.html is None)
    if html is not None:
        assert lines(html.get_content()) == plain(letter.html or "")
    found = [(one.get_filename(), one.get_payload(decode=True)) for one in read.iter_attachments()]
    assert found == letter.files


@_MANY
@given(_LETTER)
def test_by_mail_parser(letter: Letter) -> None:
    mailparser = pytest.importorskip("mailparser")
    read = mailparser.parse_from_bytes(letter.written())
    assert read.subject == letter.subject.strip()
    assert [address for _, address in read.from_] == ["list@test.com"]
    assert [name.replace("\\", "").replace('"', "") for name, _ in read.from_] == [
        letter.name.replace("\\", "").replace('"', "")
    ]
    assert lines("\n".join(read.text_plain)) == plain(letter.text)
    assert lines("\n".join(read.text_html)) == plain(letter.html or "")
    found = [base64.b64decode(one["payload"]) for one in read.attachments]
    assert found == [data for _, data in letter.files]


_SCRIPT = """
const {simpleParser} = require('mailparser');
const found = require('postal-mime');
const PostalMime = found.default || found;
const read = async (content) => {
  const raw = Buffer.from(content, 'base64');
  const one = await simpleParser(raw, {skipTextToHtml: true, skipHtmlToText: true});
  const two = await PostalMime.parse(raw);
  const b64 = (data) => Buffer.from(data).toString('base64');
  return [
    {name: one.from.value[0].name, address: one.from.value[0].address, subject: one.subject || '',
     text: one.text || '', html: one.html || null,
     files: one.attachments.map((a) => [a.filename, b64(a.content)])},
    {name: two.from.name, address: two.from.address, subject: two.subject || '',
     text: two.text || '', html: two.html || null,
     files: two.attachments.map((a) => [a.filename, b64(a.content)])},
  ];
};
const all = JSON.parse(require('fs').readFileSync(0, 'utf8'));
Promise.all(all.map(read)).then((done) => process.stdout.write(JSON.stringify(done)));
"""


@cache
def node_environment() -> dict[str, str]:
    """In which node finds what npm installed for all."""
    places = [os.environ.get("NODE_PATH", "")]
    if shutil.which("npm") is not None:
        asked = subprocess.run(["npm", "root", "-g"], capture_output=True, text=True, check=False)
        places.append(asked.stdout.strip())
    return {**os.environ, "NODE_PATH": os.pathsep.join(filter(None, places))}


@cache
def why_no_node() -> str:
    if shutil.which("node") is None:
        return "node is not installed"
    tried = subprocess.run(
        ["node", "-e", "require('mailparser'); require('postal-mime')"],
        capture_output=True,
        env=node_environment(),
        check=False,
    )
    return "" if tried.returncode == 0 else "npm's mailparser and postal-mime are not installed"


@settings(
    max_examples=4,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(st.lists(_LETTER, min_size=30, max_size=30))
def test_by_the_parsers_of_node(letters: list[Letter]) -> None:
    if reason := why_no_node():
        pytest.skip(reason)
    contents = [base64.b64encode(letter.written()).decode() for letter in letters]
    done = subprocess.run(
        ["node", "-e", _SCRIPT],
        input=json.dumps(contents),
        capture_output=True,
        text=True,
        env=node_environment(),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for letter, readings in zip(letters, json.loads(done.stdout), strict=True):
        for read in readings:
            check(letter, read)


def check(letter: Letter, read: dict[str, Any]) -> None:
    assert (read["name"], read["address"]) == (letter.name, "list@test.com")
    assert read["subject"] == letter.subject
    assert lines(read["text"]) == plain(letter.text)
    assert lines(read["html"]) == plain(letter.html or "")
    found = [(name, base64.b64decode(data)) for name, data in read["files"]]
    assert found == letter.files
