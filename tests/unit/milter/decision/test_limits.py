"""lamson_milter.decision.limits: what cannot be shown whole is never cut silently."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lamson_milter.decision.limits import BODY_DEFECT, HEADER_DEFECT, MAX_HEADER, SizeLimits
from tests.unit.milter.support import Dialogue

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from lamson_milter.decision.limits import Oversized

FROM = ("From", b" evil@sender.test")
SEES = """
@filter_message("(user)@(host)", body=BODY)
def sees(message, user, host):
    message.note("saw", [message["From"] or "", message.is_truncated, *message.defects])
"""
PASSING = {
    "fields": [*[("a", b"")] * 10_000, FROM],
    "octets": [*[("a", b"x" * 990)] * 1_100, FROM],
    "folds": [*[("a", b"\n x" * 340)] * 1_100, FROM],
    "one field": [("a", b"x" * (1 << 20)), FROM],
    "no name of a field": [("X-\u00e9", b" x"), FROM],
    "a small one behind": [("a", b"x" * (1 << 20)), *[FROM] * 2],
}


def told(dialogue: Dialogue) -> list[object]:
    """What the filter saw of the last message."""
    (one,) = dialogue.transaction._addressees
    saw = one.verdicts.notes["saw"]
    assert isinstance(saw, list)
    return list(saw)


def sees(directory: Path, body: str = "True", limits: SizeLimits | None = None) -> Dialogue:
    return Dialogue(directory, SEES.replace("BODY", body), limits=limits)


@pytest.mark.parametrize("fields", PASSING.values(), ids=PASSING)
def test_a_header_that_passes_a_limit(tmp_path: Path, fields: Iterable[tuple[str, bytes]]) -> None:
    outcome = sees(tmp_path).message(fields=fields)
    assert str(outcome.refusal) == "552 5.3.4 Message header too large"
    limits = SizeLimits(oversized_header="defer")
    outcome = sees(tmp_path, limits=limits).message(fields=fields)
    assert str(outcome.refusal) == "451 4.3.4 Message header too large"
    dialogue = sees(tmp_path, limits=SizeLimits(oversized_header="truncate"))
    assert dialogue.message(fields=fields).refusal is None
    assert told(dialogue) == ["", True, HEADER_DEFECT], "nothing behind the cut is shown"


@pytest.mark.parametrize("body", [b"", b"Hi there.\r\n", b"x" * 100])
@pytest.mark.parametrize("full", ["fields", "octets", "folds"])
def test_a_header_at_its_limit_is_shown_whole(tmp_path: Path, full: str, body: bytes) -> None:
    used = sum(map(len, ("From", FROM[1]))) + 3
    fields = {
        "fields": [*[("a", b"")] * 9_999],
        "octets": [("a", b"x" * (MAX_HEADER - used - 4))],
        "folds": [("a", b"\n x" * ((MAX_HEADER - used - 4) // 4))],
    }[full]
    dialogue = sees(tmp_path)
    assert dialogue.message(fields=[*fields, FROM], body=body).refusal is None
    assert told(dialogue)[:2] == ["evil@sender.test", False]
    assert HEADER_DEFECT not in told(dialogue)
    assert not [text for text in map(str, told(dialogue)) if "not all" in text]


@pytest.mark.parametrize(
    ("what", "reply"),
    [
        ("truncate", "None"),
        ("refuse", "552 5.3.4 Message body too large to be checked"),
        ("defer", "451 4.3.4 Message body too large to be checked"),
    ],
)
def test_a_body_that_passes_its_limit(tmp_path: Path, what: Oversized, reply: str) -> None:
    dialogue = sees(tmp_path, limits=SizeLimits(100, oversized_body=what))
    outcome = dialogue.message(fields=[FROM], is_truncated=True)
    assert str(outcome.refusal) == reply
    if outcome.refusal is None:
        assert told(dialogue) == ["evil@sender.test", True, BODY_DEFECT]


def test_a_filter_that_wants_the_start_alone_is_given_it(tmp_path: Path) -> None:
    dialogue = sees(tmp_path, "50", SizeLimits(100, oversized_body="refuse"))
    assert dialogue.message(fields=[FROM], is_truncated=True).refusal is None
    assert told(dialogue) == ["evil@sender.test", True]


def test_what_is_refused_for_good_is_not_sent_again_first(tmp_path: Path) -> None:
    limits = SizeLimits(oversized_header="defer", oversized_body="refuse")
    outcome = sees(tmp_path, limits=limits).message(fields=PASSING["fields"], is_truncated=True)
    assert str(outcome.refusal) == "552 5.3.4 Message body too large to be checked"


def test_where_no_filter_looks_nothing_is_too_large(tmp_path: Path) -> None:
    source = f"@filter_connection\ndef trusted(client):\n    return Accept\n{SEES}"
    dialogue = Dialogue(tmp_path, source.replace("BODY", "True"))
    assert dialogue.message(fields=PASSING["fields"], is_truncated=True).refusal is None
    assert sees(tmp_path).message("one@elsewhere.test", fields=PASSING["fields"]).refusal is None


def test_forged_notes_are_bounded(tmp_path: Path) -> None:
    forged = [("X-Lamson-Notes", b" x")] * 100
    assert len(sees(tmp_path).message(fields=forged).edits) == 100
    outcome = sees(tmp_path).message(fields=[*forged, ("x-lamson-notes", b" x")])
    assert str(outcome.refusal).startswith("552 5.3.4")
