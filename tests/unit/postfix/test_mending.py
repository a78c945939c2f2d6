"""lamson.postfix.mending: each sentence, as a shell reads it."""

from __future__ import annotations

import shlex
import subprocess
from typing import TYPE_CHECKING

import pytest

from lamson.postfix.mending import Mending

if TYPE_CHECKING:
    from pathlib import Path

MEND = Mending("-c /etc/other ")
ENTRY = (
    r":a;/^x\.y([[:space:]]|$)/I"
    r"{:b;$d;N;s/^.*\n//;/^[[:space:]]*(#|$)/{p;bb;};/^[[:space:]]/bb;ba;}"
)
POSTCONF = ["postconf", "-c", "/etc/other"]
RELOAD = ["&&", "postfix", "-c", "/etc/other", "reload"]


@pytest.mark.parametrize(
    ("sentence", "arguments"),
    [
        (MEND.set("a", "b, c"), ["-e", "a = b, c"]),
        (MEND.leave_out("a", ["b", "c", "d"], "c"), ["-e", "a = b, d"]),
        (MEND.set("a", "/^o'neil@/ OK"), ["-e", "a = /^o'neil@/ OK"]),
        (MEND.override("25/inet", "a={b c}"), ["-P", "25/inet/a={b c}"]),
        (MEND.no_override("25/inet", "a", "b"), ["-PX", "25/inet/a", "25/inet/b"]),
        (MEND.set_service("a/unix", "a unix -"), ["-M", "a/unix=a unix -"]),
        (MEND.no_chroot("a/unix"), ["-F", "a/unix/chroot=n"]),
    ],
)
def test_a_sentence_of_postconf(sentence: str, arguments: list[str]) -> None:
    assert shlex.split(sentence) == [*POSTCONF, *arguments, *RELOAD]


def test_what_a_reload_is_not_enough_for() -> None:
    assert MEND.set_and_restart("a", "b") == (
        "postconf -c /etc/other -e 'a = b'"
        " && postfix -c /etc/other stop && postfix -c /etc/other start"
    )


def test_ours() -> None:
    assert Mending().apply() == "lamson postfix apply && postfix reload"
    assert MEND.apply() == (
        "lamson postfix apply -config /etc/other && postfix -c /etc/other reload"
    )
    assert Mending().maps() == "lamson postfix maps && postfix reload"
    assert MEND.maps() == ("lamson postfix maps -config /etc/other && postfix -c /etc/other reload")
    assert Mending().maps(["-directory", "/x"]) == (
        "lamson postfix maps -directory /x && postfix reload"
    )


@pytest.mark.parametrize(
    ("word", "command"),
    [
        ("/a/file", r"sed -i -E 's/(^|[[:space:],])x\.y([[:space:],]|$)/\1\2/I' /a/file"),
        ("texthash:/t", f"sed -i -E '{ENTRY}' /t"),
        ("proxy:hash:/t", f"sed -i -E '{ENTRY}' /t && postmap -c /etc/other hash:/t"),
        ("texthash:/a b", f"sed -i -E '{ENTRY}' '/a b'"),
    ],
)
def test_a_domain_is_taken_out_of_a_file(word: str, command: str) -> None:
    sentence = MEND.without_key("mydestination", word, "x.y")
    assert sentence == f"{command} && postfix -c /etc/other reload"


@pytest.mark.parametrize(
    "word", ["regexp:/t", "mysql:/t.cf", "inline:{x.y=z, o.y=z}", "static:all"]
)
def test_what_a_pattern_or_a_row_brings_is_for_a_person(word: str) -> None:
    """The whole table may be everybody's."""
    assert MEND.without_key("mydestination", word, "x.y").startswith("by hand: ")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a.y one\nx.y two\nb.y three\n", "a.y one\nb.y three\n"),
        ("a.y\n one\nX.Y two,\n\tthree,\n four\nb.y five\n", "a.y\n one\nb.y five\n"),
        ("x.y one\nx.y two\n three\n", ""),
        ("sub.x.y one\nx.yz two\n", "sub.x.y one\nx.yz two\n"),
        (
            "a.y one\nx.y two\n# three\n\n four\n # five\nb.y six\n",
            "a.y one\n# three\n\n # five\nb.y six\n",
        ),
        ("x.y one\n# two\n", "# two\n"),
    ],
)
def test_an_entry_goes_with_all_of_its_lines(tmp_path: Path, before: str, after: str) -> None:
    """Those that begin with white space would belong to the entry before."""
    table = tmp_path / "table"
    table.write_text(before)
    sentence = MEND.without_key("mydestination", f"texthash:{table}", "x.y")
    subprocess.run(["sh", "-c", sentence.partition(" && ")[0]], check=True)
    assert table.read_text() == after
