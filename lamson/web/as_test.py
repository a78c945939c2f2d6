"""A conversation as a test: what somebody wrote and was answered, as a file for pytest.

For the button "as test". The test plays the same conversation by the fixtures of `lamson.testing`:
it writes what was written, and expects the answers that came, by their subjects and a line of
their text. Addresses that were signed differ from one time to the next; so an answer is written as
an answer, to whatever address the mail came from.
"""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lamson.message.answering import subject_of_answer
from lamson.message.message import Message
from lamson.smtp import address

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lamson.web.mails import Mail

WIDTH = 96  # columns of a line
_NO_NAME = re.compile(r"[^a-z0-9]+")
# What may differ the next time: addresses, numbers, times, links.
_VARIES = re.compile(r"[@0-9]|://")
_NUMBERS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")
_OK = re.compile(r"2\d\d\b")


@dataclass(slots=True)
class _Turn:
    """One mail that was written, and the answers to its author that came of it."""

    mail: Mail
    content: bytes
    answers: list[tuple[Mail, Message]]


def as_test(correspondent: str, mails: Sequence[tuple[Mail, bytes]]) -> str:
    """The file. ``mails`` are those of the conversation, oldest first."""
    turns = _turns(correspondent, mails)
    who = _name(correspondent.partition("@")[0]) or "somebody"
    lines = [f"    {who} = conversation({correspondent!r})"]
    known: dict[str, tuple[str, Message]] = {}  # by Message-ID: what the test calls it
    count = 0
    for turn in turns:
        lines.append("")
        said = "".join(_said(who, turn, known))
        if not _OK.match(turn.mail.note or "250"):
            lines += ["    with pytest.raises(Refused):", f"        {said}"]
            continue
        others = turn.mail.ours[1:]
        more = [f"    {who}.deliver({one!r}, {_octets(turn.content)})" for one in others]
        if not turn.answers:
            lines += [f"    assert {said} is None", *more]
            continue
        answer, message = turn.answers[0]
        name = f"{_NUMBERS[count]}_answer" if count < len(_NUMBERS) else f"answer_{count + 1}"
        count += 1
        lines += [f"    {name} = {said}", f"    assert {name} is not None"]
        if not _VARIES.search(message.subject):
            lines.append(f'    assert {name}["Subject"] == {message.subject!r}')
        if line := _telling(message):
            lines.append(f"    assert {line!r} in {name}.body")
        if answer.message_id:
            known[answer.message_id] = name, message
        lines += more
    text = "\n".join(lines)
    return _FILE.format(
        who=correspondent.replace("\\", "").replace('"', ""),
        imports="".join(_imports(text)),
        refused=", Refused" if "Refused" in text else "",
        name=_name(correspondent),
        body=text,
    )


def file_name(correspondent: str) -> str:
    """What the file may be called, where pytest finds it in a generated project."""
    return f"{_name(correspondent)}_tests.py"


_FILE = '''\
"""A conversation with {who}, as it went."""

from collections.abc import Callable

{imports}from lamson.testing import Conversation{refused}


def test_conversation_with_{name}(conversation: Callable[[str], Conversation]) -> None:
{body}
'''


def _imports(text: str) -> Iterator[str]:
    if "pytest." in text:
        yield "import pytest\n"


def _turns(correspondent: str, mails: Sequence[tuple[Mail, bytes]]) -> list[_Turn]:
    """Each mail with what was sent to its author because of it, as far as that can be told."""
    turns: list[_Turn] = []
    by_id: dict[str, _Turn] = {}
    seen: set[str] = set()
    for mail, content in mails:
        if mail.direction == "in":
            if mail.is_undeliverable:  # it stands here as it came, too
                continue
            turn = _Turn(mail, content, [])
            turns.append(turn)
            if mail.message_id:
                by_id[mail.message_id] = turn
        elif mail.message_id not in seen and turns:
            if mail.message_id:
                seen.add(mail.message_id)
            of = by_id.get(mail.in_reply_to, turns[-1])
            of.answers.append((mail, Message(content)))
    return turns


def _said(who: str, turn: _Turn, known: dict[str, tuple[str, Message]]) -> Iterator[str]:
    """The call that writes the mail once more."""
    message = Message(turn.content)
    to = turn.mail.ours[0] if turn.mail.ours else ""
    asked = known.get(turn.mail.in_reply_to)
    name = ""
    if asked is not None:
        name, answered = asked
        sources = [one.address for one in (answered.reply_to or answered.from_)[:1]]
        if [address.normalise(to)] != [address.normalise(one) for one in sources]:
            name = ""
    is_plain = not message.attachments and message.html is None and not message.cc
    if name and is_plain:
        yield f"{who}.reply({name}, {_text(message.new_text.strip())}"
        if message.subject != subject_of_answer(asked[1].subject if asked else ""):
            yield f", subject={message.subject!r}"
        yield ")"
        return
    target = f'{name}["Reply-To"] or {name}["From"] or ""' if name else repr(to)
    if is_plain:
        yield f"{who}.say({target}, {message.subject!r}, {_text(message.body)})"
        return
    yield f"{who}.deliver({target}, {_octets(turn.content)})"


def _text(text: str) -> str:
    """A text as Python has it, in lines that can be read."""
    text = text.strip("\n")
    if len(text) + 20 < WIDTH and "\n" not in text:
        return repr(text)
    lines = [repr(line) for line in text.splitlines(keepends=True)]
    return "(\n" + "\n".join(f"        {line}" for line in lines) + "\n    )"


def _octets(content: bytes) -> str:
    lines = content.replace(b"\r\n", b"\n").splitlines(keepends=True)
    return "(\n" + "\n".join(f"        {line!r}" for line in lines) + "\n    )"


def _telling(message: Message) -> str:
    """A line of an answer that it has each time; "" where none is known to be so."""
    for line in message.new_text.splitlines():
        text = line.strip()
        if 8 <= len(text) <= 70 and not _VARIES.search(text):
            return text
    return ""


def _name(text: str) -> str:
    """A name for Python."""
    name = _NO_NAME.sub("_", text.lower()).strip("_")[:60]
    if name[:1].isdigit():
        name = f"n{name}"
    return f"{name}_" if keyword.iskeyword(name) or name in _TAKEN else name


_TAKEN = {"conversation", "pytest"}
