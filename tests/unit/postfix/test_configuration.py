"""lamson.postfix.configuration: what postconf's texts mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from lamson.postfix.configuration import Configuration, bare, parsed, words


def test_words() -> None:
    assert words("a, b  c,inline:{x=y z=w},{ p q }") == [
        "a",
        "b",
        "c",
        "inline:{x=y z=w}",
        "{ p q }",
    ]
    assert words("") == []


def test_an_item_without_its_options() -> None:
    assert bare("{ inet:x:1, default_action=accept }") == "inet:x:1"
    assert bare("inet:x:1") == "inet:x:1"
    assert bare("{}") == "{}"


def test_a_value_over_several_lines() -> None:
    assert parsed("a = b\n  c\n\td = e\nf =\ng = h\n") == {"a": "b c d = e", "f": "", "g": "h"}


@pytest.mark.parametrize(("level", "is_chrooted"), [("0", True), ("", True), ("3.6", False)])
def test_services(level: str, *, is_chrooted: bool) -> None:
    found = Configuration.of(
        values=f"compatibility_level = {level}\n",
        entries="lmtp  unix - - n - - lmtp\n25 inet n - - - - smtpd -o x=$y -o {z=a b}\nodd unix\n",
        overrides="25/inet/x = why\n25/inet/z = a b\n",
    ).services
    assert list(found) == ["lmtp/unix", "25/inet", "odd/unix"]
    assert [one.program for one in found.values()] == ["lmtp", "smtpd", ""]
    assert found["25/inet"].options == {"x": "why", "z": "a b"}
    assert found["25/inet"].entry == "25 inet n - - - - smtpd -o x=$y -o {z=a b}"
    assert found["25/inet"].is_chrooted == is_chrooted
    assert not found["lmtp/unix"].is_chrooted


def test_where_it_is() -> None:
    there = Configuration.of(values="config_directory = /etc/other\n")
    assert there.directory == Path("/etc/other")
    assert Configuration.of(values="").directory == Path("/etc/postfix")
