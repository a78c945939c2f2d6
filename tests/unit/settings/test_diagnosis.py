"""lamson.settings.diagnosis: a wrong setting as one line, and the line of the file it stands in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from lamson.settings import Lmtp, Settings
from lamson.settings.diagnosis import GROUPS, call_lines, keyword_lines, nearest, shown, wrong

if TYPE_CHECKING:
    from pathlib import Path

CODE = """\
from lamson.settings import *
mail: Submission = Submission(
    "mail:25",
    user="u",
)
settings = Settings(
    handlers=["a"],
    lmtp=settings_of.Lmtp("127.0.0.1:1",
        max_size=7),
    submission=mail,
    **more,
)
"""


def said(values: dict[str, Any]) -> str:
    """What is said of settings that are wrong."""
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate(values)
    return str(wrong(caught.value, (), lambda key: f"at {key}"))


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"handler": ["a"]}, "handler: unknown key; did you mean handlers?"),
        ({"handlers": ["a"], "lmtp": {"max_sizes": 1}}, "unknown key; did you mean max_size?"),
        ({"handlers": ["a"], "database": 7}, "database: expected a valid string"),
        ({"handlers": ["a"], "lmtp": "x"}, "lmtp: expected Lmtp(...), got 'x'"),
        ({"handlers": ["a"], "lmtp": {"max_size": 0}}, "expected a number greater than"),
        ({"handlers": ["a"], "threads": "many"}, "threads: expected a valid integer"),
    ],
)
def test_one_line_says_what_is_wrong(values: dict[str, Any], line: str) -> None:
    text = said(values)
    assert line in text
    assert text.startswith("at (")
    assert "\n" not in text


def test_a_key_that_is_like_none_is_told_all_there_are() -> None:
    text = said({"handlers": ["a"], "lmtp": {"zzz": 1}})
    assert f"unknown key; expected one of {', '.join(Lmtp.model_fields)}" in text


def test_what_is_required_is_described() -> None:
    description = Settings.model_fields["handlers"].description
    assert description
    assert said({}).endswith(f"handlers: required: {description}")


def test_a_password_is_not_shown() -> None:
    text = said({"handlers": ["a"], "submission": {"secret": ["hunter2"]}})
    assert "submission.secret" in text
    assert "hunter2" not in text


def test_the_place_in_a_group_is_part_of_the_key() -> None:
    with pytest.raises(ValidationError) as caught:
        Lmtp(max_size=0)
    text = str(wrong(caught.value, ("lmtp",), lambda key: ".".join(map(str, key))))
    assert text.startswith("lmtp.max_size: lmtp.max_size: expected ")


def test_every_group_is_known() -> None:
    assert {"lmtp", "milter", "postfix", "socketmap", "submission"} <= GROUPS.keys()


def test_the_lines_of_the_keys() -> None:
    assert keyword_lines(CODE, "settings") == {
        ("handlers",): 7,
        ("lmtp",): 8,
        ("lmtp", "listen"): 8,
        ("lmtp", "max_size"): 9,
        ("submission",): 10,
        ("submission", "server"): 3,
        ("submission", "user"): 4,
    }


@pytest.mark.parametrize("code", ["", "settings = make()", "settings = one = Settings", "a.b = 1"])
def test_a_file_that_does_something_clever_is_no_error(code: str) -> None:
    assert keyword_lines(code, "settings") == {}


def test_the_lines_of_the_call_at_a_line() -> None:
    assert call_lines(CODE, "Submission", 3) == {("server",): 3, ("user",): 4}
    assert call_lines(CODE, "Submission", 7) == {}
    assert call_lines(CODE, "Milter", 3) == {}
    assert call_lines("(lambda: 1)()", "Lmtp", 1) == {}


def test_the_nearest_place() -> None:
    places: dict[tuple[str | int, ...], int] = {
        ("lmtp",): 1,
        ("lmtp", "max_size"): 2,
        ("milter", "listen"): 3,
    }
    assert nearest(places, ("lmtp", "max_size")) == 2
    assert nearest(places, ("lmtp", "listen", 0)) == 1, "the group it stands in"
    assert nearest(places, ("milter",)) == 3, "a part of it"
    assert nearest(places, ("threads",)) is None
    assert nearest(places, ()) is None


def test_a_path_is_shown_as_it_would_be_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert shown(tmp_path / "config" / "settings.py") == "config/settings.py"
    assert shown(tmp_path.parent / "x.py") == str(tmp_path.parent / "x.py")
