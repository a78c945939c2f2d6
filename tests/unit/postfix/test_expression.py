"""lamson.postfix.expression: how trees are written. That it means the same is for tests/fuzz."""

import pytest

from lamson.postfix.expression import expression, literal
from lamson.routing.syntax import parse


@pytest.mark.parametrize(
    ("source", "written"),
    [
        ("abc", b"^(abc)$"),
        ("ABC", b"^(abc)$"),
        (r"a\.b@x", rb"^(a\.b@x)$"),
        ("(?P<user>.+)@(?:x|y)", b"^(.+@(x|y))$"),
        ("[^@]+", b"^([^@]+)$"),
        ("[]^-]", b"^([]^-])$"),
        ("[-^]", b"^([-^])$"),
        (r"[\\a]", rb"^([a\\])$"),
        ("[a-cwxyz]*?", b"^(([abcw-z])*)$"),
        ("a{2}b{2,}c{1,3}d?", b"^((a){2}(b){2,}(c){1,3}(d)?)$"),
        (r"\d+", b"^(([0-9])+)$"),
        ("(?:ü)", "^((Ü|ü))$".encode()),
        ("a|", b"^((a|))$"),
    ],
)
def test_written(source: str, written: bytes) -> None:
    assert expression(parse(source)) == written


@pytest.mark.parametrize("source", ["[\u0430-\u044f]+[^ü]", "\x07"])
def test_what_cannot_be_written(source: str) -> None:
    with pytest.raises(ValueError, match=r"beyond ASCII|no address has"):
        expression(parse(source))


def test_literal() -> None:
    assert literal("lists.test/a") == rb"lists\.test\/a"
