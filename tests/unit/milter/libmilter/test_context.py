"""lamson_milter.libmilter.context: what libmilter is told of answers and edits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lamson.smtp.reply import Reply
from lamson_milter.actions import (
    AddHeader,
    AddRecipient,
    ChangeHeader,
    ChangeSender,
    RemoveRecipient,
    ReplaceBody,
)
from lamson_milter.decision.transaction import Arriving
from lamson_milter.libmilter.budget import Budget
from tests.unit.milter.libmilter.fakes import FakeContext
from tests.unit.milter.support import Dialogue

milter = pytest.importorskip(
    "milter", reason="pymilter is not installed (pip install 'lamson-postfix[milter]')"
)

from lamson_milter.libmilter.context import answer, apply, in_ascii  # noqa: E402
from lamson_milter.libmilter.session import Session  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

    from lamson_milter.actions import Edit

SOURCE = "@filter_sender\ndef f(mail): ..."


@pytest.fixture
def session(tmp_path: Path) -> Session:
    dialogue = Dialogue(tmp_path, SOURCE)
    session = Session(dialogue.connection.rules, milter.P_HDR_LEADSPC, Budget(1 << 20))
    session.transaction = dialogue.transaction
    dialogue.transaction.rcpt("<One(x)@test.com>", told=Arriving("one@test.com"))
    return session


@pytest.mark.parametrize(
    ("refusal", "status", "told"),
    [
        (None, "CONTINUE", []),
        (Reply(550, "5.7.1", "no\n100 %"), "REJECT", [("550", "5.7.1", "no", "100 %%")]),
        (Reply(451, "4.7.1", "later"), "TEMPFAIL", [("451", "4.7.1", "later")]),
        (Reply(550, "5.7.1", "é" * 400), "REJECT", [("550", "5.7.1", "é" * 240)]),
    ],
)
def test_answers(refusal: Reply | None, status: str, told: list[tuple[str, ...]]) -> None:
    ctx = FakeContext()
    assert answer(ctx, refusal, has_utf8=True) == getattr(milter, status)
    assert ctx.told == [("setreply", *one) for one in told]


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (AddHeader("X", "1"), [("addheader", "X", " 1", -1)]),
        (AddHeader("X", "1", 2), [("addheader", "X", " 1", 2)]),
        (ChangeHeader("X", "2", 3), [("chgheader", "X", 3, " 2")]),
        (ChangeHeader("X", "", 1), [("chgheader", "X", 1, " ")]),
        (ChangeHeader("X", None, 1), [("chgheader", "X", 1, "")]),
        (ReplaceBody(b"new\r\n"), [("replacebody", b"new\r\n")]),
        (AddRecipient("a@b.test"), [("addrcpt", "<a@b.test>", None)]),
        (AddRecipient("a@b.test", "NOTIFY=NEVER"), [("addrcpt", "<a@b.test>", "NOTIFY=NEVER")]),
        (
            RemoveRecipient("ONE@test.com"),
            [("delrcpt", "<One(x)@test.com>"), ("delrcpt", "<one@test.com>")],
        ),
        (ChangeSender(""), [("chgfrom", "<>", None)]),
    ],
)
def test_edits(session: Session, edit: Edit, told: list[tuple[object, ...]]) -> None:
    ctx = FakeContext()
    apply(ctx, session, edit)
    assert ctx.told == told


def test_without_leading_space_postfix_puts_it_in_itself(session: Session) -> None:
    session.has_leading_space = False
    ctx = FakeContext()
    apply(ctx, session, AddHeader("X", "1"))
    apply(ctx, session, ChangeHeader("X", "", 1))
    assert ctx.told == [("addheader", "X", "1", -1), ("chgheader", "X", 1, " ")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("Für Mitglieder, ﬁnal", "Fur Mitglieder, final"),
        ("Ж 你", "\\x{416} \\x{4F60}"),
    ],
)
def test_a_client_without_smtputf8_is_told_ascii(text: str, expected: str) -> None:
    assert in_ascii(text) == expected
    ctx = FakeContext()
    answer(ctx, Reply(550, "5.7.1", text))
    answer(ctx, Reply(550, "5.7.1", text), has_utf8=True)
    assert ctx.told == [
        ("setreply", "550", "5.7.1", expected),
        ("setreply", "550", "5.7.1", text),
    ]
