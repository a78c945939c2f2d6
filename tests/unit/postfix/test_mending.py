"""lamson.postfix.mending: each sentence, as a shell reads it."""

from __future__ import annotations

import shlex

import pytest

from lamson.postfix.mending import Mending

MEND = Mending("-c /etc/other ")
POSTCONF = ["postconf", "-c", "/etc/other"]
RELOAD = ["&&", "postfix", "-c", "/etc/other", "reload"]


@pytest.mark.parametrize(
    ("sentence", "arguments"),
    [
        (MEND.set("a", "b, c"), ["-e", "a = b, c"]),
        (MEND.leave_out("a", ["b", "c", "d"], "c"), ["-e", "a = b, d"]),
        (MEND.without("a", "b, x:/y, d", "x:/y", "k"), ["-e", "a = b, d"]),
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
    assert MEND.set_anywhere("a", "b") == "postconf -e 'a = b'"


@pytest.mark.parametrize(
    ("word", "command"),
    [
        ("/a/file", r"sed -i -E 's/(^|[[:space:],])x\.y([[:space:],]|$)/\1\2/I' /a/file"),
        ("texthash:/t", r"sed -i -E '/^x\.y([[:space:]]|$)/Id' /t"),
        (
            "proxy:hash:/t",
            r"sed -i -E '/^x\.y([[:space:]]|$)/Id' /t && postmap -c /etc/other hash:/t",
        ),
    ],
)
def test_a_domain_is_taken_out_of_a_file(word: str, command: str) -> None:
    sentence = MEND.without("mydestination", word, word, "x.y")
    assert sentence == f"{command} && postfix -c /etc/other reload"
