"""lamson_milter.actions: values, and what cannot be written down."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lamson_milter.actions import (
    MAX_LINES,
    Accept,
    AddHeader,
    ChangeHeader,
    Defer,
    Discard,
    Quarantine,
    Reject,
    decision,
)
from lamson_milter.field import field_value
from tests.unit.milter.support import Dialogue

if TYPE_CHECKING:
    from pathlib import Path


def test_what_cannot_be_written_down_fails_in_the_filter(tmp_path: Path) -> None:
    source = """
    @filter_message("(user)@(host)")
    def edit(message, user, host):
        tries = [
            lambda: message.add_header("X", "a\\r\\nE: b"), lambda: message.add_header("X:", "a"),
            lambda: message.insert_header("X", "a", -1), lambda: message.delete_header("X", 0),
            lambda: message.add_recipient("nobody"), lambda: message.change_sender("a b"),
            lambda: message.add_recipient("a@b.example", "X\\r\\nY"),
            lambda: message.note("x", object()), lambda: message.note("x", "y" * 5000),
            lambda: Reject("4.1.1", "x"), lambda: Reject("5.1.1", "a\\rb"), lambda: Defer("5.1.1"),
            lambda: Quarantine(""), lambda: Quarantine("a\\nb"),
            lambda: Arrival().remove_recipient(),
        ]
        for one in tries:
            try:
                one()
            except ValueError:
                continue
            raise SystemExit(one)
    """
    outcome = Dialogue(tmp_path, source).message()
    assert str(outcome) == "accepted"
    assert not outcome.edits


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        (None, None),
        (Accept, Accept()),
        (Discard, Discard()),
        (Reject, Reject()),
        (Defer, Defer()),
        (Quarantine("why"), Quarantine("why")),
        (Reject("5.7.2", "no"), Reject("5.7.2", "no")),
    ],
)
def test_a_class_is_as_good_as_a_value(returned: object, expected: object) -> None:
    assert decision(returned) == expected


@pytest.mark.parametrize("returned", ["250", True, 550, Quarantine, Exception()])
def test_what_is_no_verdict(returned: object) -> None:
    with pytest.raises(TypeError, match="returns a verdict or None"):
        decision(returned)


def test_replies() -> None:
    assert str(Reject().reply) == "550 5.7.1 Message refused"
    assert str(Reject("5.1.1", "no", 554).reply) == "554 5.1.1 no"
    assert str(Defer().reply) == "451 4.7.1 Try again later"
    Reject(text="\n".join(["line"] * MAX_LINES))
    for text in ("", "a\n\nb", "\n".join(["line"] * (MAX_LINES + 1))):
        with pytest.raises(ValueError, match="a reply has up to"):
            Reject(text=text)


@pytest.mark.parametrize("value", ["x" * 65_000, "word " * 12_990, "\N{PILE OF POO}" * 13_000])
def test_a_field_that_libmilter_would_not_take_is_refused_in_the_filters_line(value: str) -> None:
    for make in (AddHeader, ChangeHeader):
        with pytest.raises(ValueError, match="X-Long: its value passes 65000 octets"):
            make("X-Long", value)
        make("X-Long", value[: len(value) // 2])
    longest = "\N{PILE OF POO}" * 4_000
    assert len(field_value("X-Long", longest)) < 65_000


def test_a_reason_is_short() -> None:
    Quarantine("x" * 400)
    with pytest.raises(ValueError, match="one line of text"):
        Quarantine("x" * 401)
