"""Any bytes are a message; nothing that is put into a message breaks out of it."""

from __future__ import annotations

import email
import re
from email import policy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamson.errors import AddressError
from lamson.message import mailboxes
from lamson.message.compose import normalise_newlines, prepend_headers
from lamson.message.html_text import text_of
from lamson.message.mailboxes import Mailbox
from lamson.message.parsed import ParsedMessage
from lamson.message.request import MailRequest
from lamson.message.response import MailResponse
from lamson.results import authentication, spam
from lamson.smtp.address import parse_mailbox
from lamson.smtp.envelope import Envelope, Recipient
from tests.tricks import FOUND, HIDING, finds, the_email_package_finds

pytestmark = pytest.mark.timeout(300)

ENVELOPE = Envelope("zed@example.com", ("list@test.com",))
RECIPIENT = Recipient("list@test.com")

PIECES = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b":",
    b";",
    b'"',
    b"=",
    b"--",
    b"--b",
    b"\n--b\n",
    b"\r\n--b\r\n",
    b"\n--b--\n",
    b"From ",
    b"From: ",
    b"Subject:",
    b"\nSubject : ",
    b"Content-Type: ",
    b"\nContent-Type: multipart/mixed; boundary=b\n",
    b"\nContent-Type: text/html; charset=",
    b"multipart/digest; boundary*0=",
    b"utf-7",
    b"utf-16",
    b"iso-2022-jp",
    b"\nContent-Transfer-Encoding: base64\n",
    b"\nContent-Transfer-Encoding: quoted-printable\n",
    b"\nContent-Disposition: attachment; filename",
    b"*=utf-8''%0A",
    b"=?utf-8?q?",
    b"=?utf-7?b?+2AA-",
    b"?=",
    b"\xff\xfe",
    "ü".encode(),
    b"<p>",
    b"<style",
    b"&#0;&#xD800;",
    b"&#" + b"9" * 5000,
    b"9" * 5000,
    b"; a*" + b"9" * 5000 + b"=",
    b"Authentication-Results: us/" + b"9" * 5000 + b"; dkim=pass\n",
    b"charset=idna",
    b"charset=punycode",
    b"charset=undefined",
    b"charset=unicode_escape",
    b"charset=zip",
    b"charset=rot13",
    b"message/rfc822\n\n",
    b"\nContent-Type: text/plain; format=flowed; delsp=yes\n\n",
    b"\nContent-Transfer-Encoding: x-uuencode\n\nbegin 644 a\n#0V%T\n",
    b"charset=iso-2022-kr",
    b"charset=hz",
    b"charset=euc-jp",
    b"\x1b$B",
    b"\x0e",
    b"~{",
    b" \n> ",
    b"\nTo: Doe, Joe <",
    b"@example.com>",
    b"\nDate: 1 Jan 1 25:00 +9",
    b"\nReferences: <a@b",
    b"<table><td>",
    b"<blockquote hidden>",
    b"<li value=9",
    b"<a href='",
    b"zed@example.com",
]
contents = st.binary(max_size=300) | st.lists(
    st.sampled_from(PIECES) | st.binary(max_size=4), max_size=60
).map(b"".join)


@given(contents)
def test_every_attribute_of_any_message_gives_an_answer(content: bytes) -> None:
    message = MailRequest(content, ENVELOPE, RECIPIENT)
    texts = [message.body, message.html or "", message.author, str(message), repr(message)]
    values = [message.subject, message.message_id or "", message.automatic_reason or ""]
    values += [value for _, value in message.items()]
    for name in message.keys():  # noqa: SIM118
        assert name in message
        values += message.get_all(name)
    assert message.parts
    for part in message.parts:
        assert isinstance(part.content, bytes)
        assert part.is_attachment in (True, False)
        texts += [part.text, part.content_type, repr(part)]
        values.append(part.filename or "")
    for text in texts + values + message.defects:
        text.encode()
    for value in values:
        assert not re.search("[\r\n\0]", value)
    assert message.is_bounce in (True, False)
    assert "".join(one.text for one in message.fragments) == message.body
    assert message.defects.could_hide in (True, False)
    assert authentication(message, "us").passed("dkim") in (True, False)
    assert spam(message) is None or content
    assert message.raw is content
    assert all(part in message.parts for part in message.attachments)


TRICKS = [trick for name, trick in (FOUND | HIDING).items() if len(trick) < 4000]


@given(
    st.sampled_from(TRICKS),
    st.lists(
        st.tuples(
            st.floats(0, 1),
            st.integers(0, 3),
            st.sampled_from(PIECES) | st.binary(max_size=2) | st.sampled_from(TRICKS),
        ),
        max_size=4,
    ),
)
def test_what_the_email_package_finds_is_found_or_could_be_hidden(
    content: bytes, splices: list[tuple[float, int, bytes]]
) -> None:
    for place, removed, inserted in splices:
        at = int(place * len(content))
        content = content[:at] + inserted + content[at + removed :]
    if any(the_email_package_finds(content, how) for how in (policy.compat32, policy.default)):
        assert finds(content) or ParsedMessage(content).defects.could_hide


PARAMETER_PIECES = [
    "filename",
    "name",
    "charset",
    "boundary",
    *"*0123456789=;\"'\\%&<> (),ü",
    "*0*=",
    ";filename*=",
    ";filename*0=",
    ";boundary*1=",
]
PARAMETER_PIECES += [
    "''",
    "%C3",
    "%41",
    "utf-8'en'",
    "=?utf-8?q?",
    "?=",
    "\r\n ",
    "\x85",
    "\xa0",
    "b",
]


@given(
    st.sampled_from(["Content-Type: multipart/mixed;", "Content-Disposition: attachment;"]),
    st.lists(st.sampled_from(PARAMETER_PIECES), max_size=40).map("".join),
    st.sampled_from(["utf-8", "latin-1"]),
)
def test_any_parameters_are_read(field: str, parameters: str, encoding: str) -> None:
    content = f"{field}{parameters}\r\n\r\n--b\r\n\r\ntext\r\n--b--\r\n".encode(encoding)
    message = MailRequest(content, ENVELOPE, RECIPIENT)
    for part in message.parts:
        assert not re.search("[\r\n\0/]", part.filename or "")
        part.text.encode()


@given(contents)
def test_what_a_stranger_wrote_can_be_put_into_an_answer(content: bytes) -> None:
    message = MailRequest(content, ENVELOPE, RECIPIENT)
    answer = MailResponse(
        to="zed@example.com", sender="list@test.com", subject=message.subject, body=message.body
    )
    for name, value in message.items():
        if name.lower().startswith("x-"):
            answer.add_header(name, value)
    answer["X-Subject"] = message.subject
    sent = email.message_from_bytes(answer.to_bytes(), policy=policy.default)
    assert sent["X-Subject"] == sent["Subject"]
    assert sent.get_content_type() == "text/plain"
    assert sent.get_all("To") == ["zed@example.com"]
    assert not sent.defects


@given(contents)
def test_newlines_are_normal_afterwards_and_nothing_else_changes(content: bytes) -> None:
    normal = normalise_newlines(content)
    assert b"\r" not in normal.replace(b"\r\n", b"")
    assert b"\n" not in normal.replace(b"\r\n", b"")
    assert normalise_newlines(normal) is normal
    assert re.split(rb"\r\n|\r|\n", content) == normal.split(b"\r\n")


@given(contents, st.text())
def test_fields_go_on_top_and_the_rest_stays(content: bytes, value: str) -> None:
    try:
        result = prepend_headers(content, [("X-Top", value)])
    except ValueError:
        assert re.search("[\r\n\0\ud800-\udfff]", value)
        return
    assert result.endswith(content)
    message = MailRequest(result, ENVELOPE, RECIPIENT)
    assert message["X-Top"] == value.strip(" \t")
    assert message.get_all("X-Top")[1:] == MailRequest(content, ENVELOPE, RECIPIENT).get_all(
        "X-Top"
    )


names = st.from_regex(r"X-[!-9;-~]{0,30}", fullmatch=True)
line_texts = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]))


@given(st.lists(st.tuples(names, line_texts)), line_texts, st.text(), st.text())
def test_what_is_put_in_is_what_is_read(
    fields: list[tuple[str, str]], subject: str, body: str, html: str
) -> None:
    message = MailResponse(
        to="zed@example.com", sender="list@test.com", subject=subject, body=body, html=html
    )
    for name, value in fields:
        message.add_header(name, value)
    content = message.to_bytes()
    assert content.isascii()
    assert max(map(len, content.split(b"\r\n"))) <= 998
    assert normalise_newlines(content) is content

    read = MailRequest(content, ENVELOPE, RECIPIENT)
    assert read.subject == subject.strip(" \t")
    text_read = _sent(body).replace("\0", "").removeprefix("\ufeff")
    html_read = _sent(html).replace("\0", "").removeprefix("\ufeff")
    if text_read.strip():
        assert read.body == text_read
    else:  # a text in which nothing is hides no page
        assert read.body in (text_read, text_of(html_read))
    assert read.html == html_read
    for name, _ in fields:
        wanted = [value.strip(" \t") for other, value in fields if other.lower() == name.lower()]
        assert read.get_all(name) == wanted
    assert read.defects == []

    stdlib = email.message_from_bytes(content)
    assert [name for name, _ in stdlib.items()][3:-2] == [name for name, _ in fields]
    text, page = (
        part.get_payload(decode=True) for part in stdlib.walk() if not part.is_multipart()
    )
    assert text == _sent(body).replace("\n", "\r\n").encode()
    assert page == _sent(html).replace("\n", "\r\n").encode()


def _sent(text: str) -> str:
    """What becomes of a text on its way: line ends, surrogates."""
    text = re.sub("\r\n?", "\n", re.sub("[\ud800-\udfff]", "?", text))
    return text if text.endswith("\n") or not text else text + "\n"


@given(
    st.lists(st.tuples(st.binary(), st.text(min_size=1, max_size=50), st.booleans()), max_size=4)
)
def test_attachments_come_out_as_they_went_in(files: list[tuple[bytes, str, bool]]) -> None:
    message = MailResponse(
        to="zed@example.com", sender="list@test.com", subject="x", body="b", html="h"
    )
    attached = []
    for data, filename, inline in files:
        try:
            message.attach(data, filename=filename, inline=inline)
        except ValueError:
            assert re.search("[\0-\x1f\x7f\ud800-\udfff]|^\\s*$", filename)
        else:
            attached.append((data, filename, inline))
    content = message.to_bytes()
    assert content.isascii()
    stdlib = [part for part in email.message_from_bytes(content).walk() if part.get_filename()]
    assert [(part.get_payload(decode=True), part.get_filename()) for part in stdlib] == [
        (data, filename.strip())
        for data, filename, inline in sorted(attached, key=lambda x: not x[2])
    ]
    read = MailRequest(content, ENVELOPE, RECIPIENT)
    found = [part for part in read.parts if part.content_type == "application/octet-stream"]
    assert [part.content for part in found] == [part.get_payload(decode=True) for part in stdlib]
    assert read.defects == []


displays = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]))


local_parts = st.text('<>@,;:"\\ .ab\u00e9', max_size=20).map(
    lambda text: '"' + text.replace("\\", "").replace('"', "") + '"'
) | st.just('"a\\"<b"')


@given(local_parts, displays)
def test_any_address_can_be_written_to(local: str, display: str) -> None:
    address = parse_mailbox(f"{local}@example.com", smtputf8=True)
    assert mailboxes.parse(address) == (Mailbox("", address),)
    mailbox = Mailbox(display.strip()[:200], address)
    if mailbox.name == mailbox.name.strip():
        assert mailboxes.parse(str(mailbox)) == (mailbox,)


@given(displays)
def test_display_names_come_out_as_they_went_in(display: str) -> None:
    mailbox = Mailbox(display.strip()[:200], "zed@example.com")
    if mailbox.name == mailbox.name.strip():
        assert mailboxes.parse(str(mailbox)) == (mailbox,)
    message = MailResponse(to=str(mailbox), sender="list@test.com", subject="x")
    content = message.to_bytes()
    assert content.isascii()
    assert message.to == ["zed@example.com"]
    to = email.message_from_bytes(content, policy=policy.default)["To"]
    assert [address.addr_spec for address in to.addresses] == ["zed@example.com"]
    assert MailRequest(content.replace(b"To:", b"From:", 1), ENVELOPE, RECIPIENT)["To"] is None


@given(st.text(max_size=60) | st.text('<>@,;:"\\ ab.\r\n', max_size=40))
def test_any_text_is_an_address_field_or_an_error(text: str) -> None:
    try:
        found = mailboxes.parse(text)
    except AddressError:
        return
    for mailbox in found:
        assert parse_mailbox(mailbox.address, smtputf8=True) == mailbox.address
        assert mailboxes.parse_one(str(mailbox)) == mailbox


@given(st.text() | st.lists(st.sampled_from(["<", ">", "<p>", "<!--", "</style>", "&lt;", "a"])))
def test_any_markup_has_a_text(markup: str | list[str]) -> None:
    assert text_of("".join(markup)).endswith("\n")
