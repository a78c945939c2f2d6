"""A conversation as a test: what somebody wrote and was answered, as a file for pytest.

For the button "as test". The test plays the same conversation by the fixtures of `lamson.testing`:
it writes what was written, and expects the answers that came, by their subjects and a line of
their text. Addresses that were signed differ from one time to the next; so an answer is written as
an answer, to whatever address the mail came from, and what others wrote to cause that mail is
written first (`lamson.web.story`). Where that is not known, the test is skipped and says so.
"""

from __future__ import annotations

import keyword
import re
import textwrap
from typing import TYPE_CHECKING, Any

from lamson.message.answering import subject_of_answer
from lamson.smtp import address

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lamson.message.message import Message
    from lamson.web.story import Letter, Step

WIDTH = 96  # columns of a line
_NO_NAME = re.compile(r"[^a-z0-9]+")
# What may differ the next time: addresses, numbers, times, links.
_VARIES = re.compile(r"[@0-9]|://")
_NUMBERS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")
_REFUSED = re.compile(r"5\d\d\b")
_OK = re.compile(r"2\d\d\b")


def as_test(correspondent: str, steps: Sequence[Step]) -> str:
    """The file. ``steps`` are those of the conversation, and what they need, oldest first."""
    lines, is_missing = _Writing(correspondent, steps).lines()
    text = "\n".join(lines)
    skip = _SKIP if is_missing else ""
    return _FILE.format(
        who=correspondent.replace("\\", "").replace('"', ""),
        imports="".join(_imports(skip + text)),
        refused=", Refused" if "Refused" in text else "",
        skip=skip,
        name=_name(correspondent),
        body=text,
    )


class _Writing:
    """Writes the steps down, and knows what the test calls people and letters."""

    def __init__(self, correspondent: str, steps: Sequence[Step]) -> None:
        self._who = correspondent
        self._steps = steps
        self._needed = {id(one.asked) for one in steps if one.asked is not None}
        self._people: dict[str, str] = {}  # by their addresses
        self._letters: dict[int, str] = {}
        self._count = 0

    def lines(self) -> tuple[list[str], bool]:
        """Those of the function, and whether something is missing for it to run."""
        lines = []
        for author in [self._who, *(step.author for step in self._steps)]:
            if address.normalise(author) not in self._people:
                lines.append(f"    {self._person(author)} = conversation({author!r})")
        if not self._steps:
            lines += ["", "    # Missing: what caused the mail of this conversation."]
        for step in self._steps:
            lines.append("")
            if step.missing:
                lines += _comment(f"Missing: {step.missing}.")
            lines += self._played(step)
        return lines, not self._steps or any(step.missing for step in self._steps)

    def _person(self, author: str) -> str:
        key = address.normalise(author)
        if key not in self._people:
            name = _name(author.partition("@")[0]) or "somebody"
            while name in self._people.values():
                name = f"{name}_too"
            self._people[key] = name
        return self._people[key]

    def _played(self, step: Step) -> list[str]:
        who = self._person(step.author)
        is_his = who == self._person(self._who)
        said = "".join(self._said(who, step))
        if _REFUSED.match(step.mail.note):
            return ["    with pytest.raises(Refused):", f"        {said}"]
        others = step.mail.ours[1:]
        more = [f"    {who}.deliver({one!r}, {_octets(step.content)})" for one in others]
        if not _OK.match(step.mail.note or "250"):  # a fault, which is to be mended
            return [*_comment(f"Then: {step.mail.note}"), f"    {said}", *more]
        first, *_ = [*step.letters_to(step.author), None]
        if first is not None and (is_his or id(first) in self._needed):
            name = self._named(first, "answer")
            lines = [f"    {name} = {said}", f"    assert {name} is not None"]
            lines += self._expected(first, name)
        elif first is None and is_his and step.is_all:
            lines = [f"    assert {said} is None"]
        elif first is None and is_his:
            lines = ["    # Whether this was answered is not known.", f"    {said}"]
        else:
            lines = [f"    {said}"]
        return [*lines, *self._came(step), *more]

    def _came(self, step: Step) -> Iterator[str]:
        """What came to somebody of what another wrote, where it is answered later."""
        for reader in dict.fromkeys(one.author for one in self._steps):
            mine = step.letters_to(reader)
            for number, letter in enumerate(mine):
                if id(letter) in self._needed and id(letter) not in self._letters:
                    who = self._person(reader)
                    name = self._named(letter, f"mail_to_{who}")
                    yield f"    {name} = {who}.inbox[-{len(mine) - number}]"
                    yield from self._expected(letter, name)

    def _named(self, letter: Letter, what: str) -> str:
        number = self._count
        self._count += 1
        ordinal = _NUMBERS[number] if number < len(_NUMBERS) else f"n{number + 1}"
        self._letters[id(letter)] = f"{ordinal}_{what}"
        return self._letters[id(letter)]

    def _expected(self, letter: Letter, name: str) -> Iterator[str]:
        if not _VARIES.search(letter.message.subject):
            yield f'    assert {name}["Subject"] == {letter.message.subject!r}'
        if line := _telling(letter.message):
            yield f"    assert {line!r} in {name}.body"

    def _said(self, who: str, step: Step) -> Iterator[str]:
        """The call that writes the mail once more."""
        message = step.message
        to = step.mail.ours[0] if step.mail.ours else ""
        name = self._letters.get(id(step.asked), "")
        is_plain = not message.attachments and message.html is None and not message.cc
        if name and is_plain:
            asked = step.asked.message.subject if step.asked is not None else ""
            yield f"{who}.reply({name}, {_text(message.new_text.strip())}"
            if message.subject != subject_of_answer(asked):
                yield f", subject={message.subject!r}"
            yield ")"
            return
        target = f'{name}["Reply-To"] or {name}["From"] or ""' if name else repr(to)
        if is_plain:
            yield f"{who}.say({target}, {message.subject!r}, {_text(message.body)})"
            return
        yield f"{who}.deliver({target}, {_octets(step.content)})"


def file_name(correspondent: str) -> str:
    """What the file may be called, where pytest finds it in a generated project."""
    return f"{_name(correspondent)}_tests.py"


_FILE = '''\
"""A conversation with {who}, as it went."""

from collections.abc import Callable

{imports}from lamson.testing import Conversation{refused}


{skip}def test_conversation_with_{name}(conversation: Callable[[str], Conversation]) -> None:
{body}
'''


_SKIP = '@pytest.mark.skip(reason="something that it needs is missing: see its comments")\n'
_AS_COMMENT: Any = {"initial_indent": "    # ", "subsequent_indent": "    # "}


def _imports(text: str) -> Iterator[str]:
    if "pytest." in text:
        yield "import pytest\n"


def _text(text: str) -> str:
    """A text as Python has it, in lines that can be read."""
    text = text.strip("\n")
    if len(text) + 20 < WIDTH and "\n" not in text:
        return repr(text)
    lines = [repr(line) for line in text.splitlines(keepends=True)]
    return "(\n" + "\n".join(f"        {line}" for line in lines) + "\n    )"


def _comment(text: str) -> list[str]:
    plain = "".join(one if one.isprintable() else "?" for one in text)
    return textwrap.wrap(plain, WIDTH, **_AS_COMMENT)


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
