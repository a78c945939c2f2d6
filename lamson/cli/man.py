"""The manual page lamson(1), made from the help: docs/man/lamson.1.

Written with ``lamson help -man``; a test compares. In the macros of man(7) alone, so that groff and
mandoc show it alike.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import click

from lamson.cli.group import COMMANDS, lamson, subcommands

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEAD = """\
.TH LAMSON 1 "" "lamson-postfix" "Lamson behind Postfix"
.SH NAME
lamson \\- e\\-mail applications behind Postfix
.SH SYNOPSIS
.B lamson
.I COMMAND
.RI [ OPTIONS ]
.SH DESCRIPTION
Lamson lets you write an e\\-mail application the way you write a web application; Postfix stays the
mail server.
Its command makes projects, runs them, and looks after their mail.
It is used in the directory of a project.
.PP
Every option may be written with one dash or with two.
Names in capitals work in lower case too.
"""
_TAIL = """\
.SH EXIT STATUS
Those of
.BR sysexits (3):
0 all is well, 64 wrong use, 65 not an address, 66 there is no such file, 69 a server does not
answer or an address is in use, 73 a file cannot be made, 75 try again later, 77 not permitted, 78
wrong configuration.
What 1, 2 and 3 mean stands at the commands that have them.
What goes wrong is told in one line on standard error.
.SH FILES
.TP
.I config/settings.py
the settings of a project
.TP
.I logs/lamson.log
its log
.TP
.I run/undeliverable
mail that could not be delivered, as a Maildir
.SH SEE ALSO
.BR postconf (1),
.BR sendmail (1),
.BR lmtp (8)
"""


def page() -> str:
    """The whole page."""
    parts = [_HEAD]
    section = ""
    for name, entry in COMMANDS.items():
        if entry.section != section:
            section = entry.section
            parts.append(f".SH {_text(section.upper())}\n")
        for one in (name, *(f"{name} {part}" for part in subcommands(name))):
            parts += _command(one)
    return "".join([*parts, _TAIL])


def _command(name: str) -> Iterator[str]:
    first, *rest = name.split()
    with click.Context(lamson, info_name="lamson") as context:
        found = lamson.get_command(context, first)
        for word in rest:
            assert isinstance(found, click.Group)
            found = found.get_command(context, word)
        assert found is not None
        usage = " ".join(found.collect_usage_pieces(context))
        options = [one.get_help_record(context) for one in found.params]
    yield f".SS lamson {_text(name)}\n.B lamson {_text(name)}\n{_line(usage)}"
    for paragraph in inspect.cleandoc(found.help or "").split("\n\n"):
        yield from _paragraph(paragraph)
    for record in options:
        if record is not None:
            yield f".TP\n.B {_text(record[0])}\n{_line(record[1])}"


def _paragraph(text: str) -> Iterator[str]:
    """One that begins with \\b is shown as it stands (click's own mark)."""
    if not text.startswith("\b"):
        yield ".PP\n" + _line(text)
        return
    yield ".PP\n.nf\n"
    for line in text.removeprefix("\b").strip("\n").split("\n"):
        yield _line(line)
    yield ".fi\n"


def _line(text: str) -> str:
    """Lines of text, none of which troff takes for a request."""
    shown = _text(text)
    return "".join(
        ("\\&" if line[:1] in (".", "'") else "") + line + "\n" for line in shown.split("\n")
    )


def _text(text: str) -> str:
    """What troff prints as it stands: its escapes and quotes are none, and hyphens are minus."""
    for character, written in (
        ("\\", "\\e"),
        ("-", "\\-"),
        ("'", "\\(aq"),
        ("`", "\\(ga"),
        ("^", "\\(ha"),
        ("~", "\\(ti"),
        ('"', "\\(dq"),
    ):
        text = text.replace(character, written)
    return text
