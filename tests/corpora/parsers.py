"""The same message as several parsers read it, in a form in which they can be compared."""

from __future__ import annotations

import email
import json
import os
import re
import shutil
import subprocess
from email import policy
from email.utils import getaddresses
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from lamson.message.request import MailRequest
from lamson.smtp.envelope import Envelope, Recipient

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from email.message import EmailMessage

NOBODY = "nobody@envelope.test"
_ENVELOPE = Envelope(NOBODY, ("list@test.com",))
_BLANK = re.compile(r"[\s>\ufeff\u00a0]+")
_ADDRESS = re.compile(r"[^\s<>,;\"'()]+@[^\s<>,;\"'()]+")
_NODE = Path(__file__).with_name("read.mjs")


class Reading(NamedTuple):
    """What one parser found."""

    body: str  # without blanks; "" where there is none
    has_html: bool  # of which a body can be made
    subject: str
    author: str  # "" where none was found
    attachments: tuple[str, ...]  # their names


def squeezed(text: str) -> str:
    """A text as it is compared: parsers differ in blanks, line ends, and ``format=flowed``."""
    return _BLANK.sub("", text)


def _names(names: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(sorted(squeezed(name) for name in names if name))


def ours(content: bytes) -> Reading:
    message = MailRequest(content, _ENVELOPE, Recipient("list@test.com"))
    return Reading(
        squeezed(message.body),
        message.html is not None,
        squeezed(message.subject),
        "" if message.author_source == "envelope" else message.author,
        _names(part.filename for part in message.attachments),
    )


def stdlib(content: bytes) -> Reading | None:
    """The email package, all texts that are no attachments joined."""
    try:
        message = email.message_from_bytes(content, policy=policy.default)
        texts, has_html, names = _walk(message)
        author = [found for _, found in getaddresses([str(message["From"] or "")]) if "@" in found]
        return Reading(
            squeezed("".join(texts)),
            has_html,
            squeezed(str(message["Subject"] or "")),
            author[0].lower() if len(author) == 1 else "",
            _names(names),
        )
    except Exception:  # noqa: BLE001 - it raises many
        return None


def _walk(message: EmailMessage) -> tuple[list[str], bool, list[str | None]]:
    texts, names, has_html = [], [], False
    todo = [message]
    while todo:
        part = todo.pop()
        if part.get_content_maintype() == "multipart":
            todo += [one for one in reversed(part.get_payload()) if hasattr(one, "get_payload")]  # type: ignore[arg-type]
            continue
        if part.get_filename():
            names.append(part.get_filename())
        if part.get_content_disposition() == "attachment":
            continue
        if part.get_content_type() == "text/plain":
            texts.append(str(part.get_content()))
        has_html |= part.get_content_type() == "text/html"
    return texts, has_html, names


def mail_parser(content: bytes) -> Reading | None:
    """mail-parser (SpamScope)."""
    import mailparser

    try:
        found = mailparser.parse_from_bytes(content)
        author = [one for _, one in found.from_ if "@" in one]
        return Reading(
            squeezed("".join(found.text_plain)),
            bool(found.text_html),
            squeezed(found.subject or ""),
            author[0].lower() if len(author) == 1 else "",
            _names(one.get("filename") for one in found.attachments),
        )
    except Exception:  # noqa: BLE001
        return None


def fast_mail_parser(content: bytes) -> Reading | None:
    """fast-mail-parser (mailparse of Rust)."""
    import fast_mail_parser as parser

    try:
        found = parser.parse_email(content)
        author = found.from_.address if found.from_ else None
        return Reading(
            squeezed("".join(found.text_plain)),
            bool(found.text_html),
            squeezed(found.subject or ""),
            author.lower() if author and "@" in author else "",
            _names(one.filename for one in found.attachments),
        )
    except Exception:  # noqa: BLE001
        return None


def of_node(contents: Sequence[bytes]) -> dict[str, list[Reading | None]]:
    """mailparser and postal-mime of npm, where NODE_PATH has them; all messages in one run."""
    node, path = shutil.which("node"), os.environ.get("NODE_PATH", "")
    there = [one for one in ("mailparser", "postal-mime") if (Path(path) / one).is_dir()]
    if node is None or not path or not there:
        return {}
    lines = "\n".join(json.dumps(content.decode("latin-1")) for content in contents)
    run = subprocess.run(
        [node, str(_NODE), path, *there], input=lines, capture_output=True, text=True, check=True
    )
    found: dict[str, list[Reading | None]] = {name: [] for name in there}
    for line in run.stdout.splitlines():
        for name, one in json.loads(line).items():
            found[name].append(one and _of_json(one))
    return found


def _of_json(one: dict[str, object]) -> Reading:
    author = _ADDRESS.findall(str(one["author"]))
    return Reading(
        squeezed(str(one["text"])),
        bool(one["html"]),
        squeezed(str(one["subject"])),
        author[0].lower() if len(author) == 1 else "",
        _names(one["names"]),  # type: ignore[arg-type]
    )
