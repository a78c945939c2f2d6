"""What an answer takes over: its subject, and whole ids."""

from __future__ import annotations

import pytest

from lamson.message.answering import MAX_REFERENCES, fields_of_answer, subject_of_answer
from tests.unit.support import make_message


@pytest.mark.parametrize(
    ("subject", "answer"),
    [
        ("x", "Re: x"),
        ("", "Re: "),
        ("Re: x", "Re: x"),
        ("RE: x", "RE: x"),
        ("AW: x", "Re: x"),
        ("Aw[2]: x", "Re: x"),
        ("SV:x", "Re: x"),
        ("AW: AW: x", "Re: x"),
        ("Re: AW: RE: x", "Re: x"),
        ("Re^2: x", "Re: x"),
        ("RE : x", "Re: x"),
        ("Antw.: Antwort: Re (2): x", "Re: x"),  # GroupWise, Notes
        ("Vedr.: Ang: x", "Re: x"),
        ("Antworten: x", "Re: Antworten: x"),
        ("回复：x", "Re: x"),  # noqa: RUF001
        ("Ref: invoice 5", "Re: Ref: invoice 5"),
        ("Resolved: x", "Re: Resolved: x"),
        ("a\0b", "Re: a b"),
    ],
)
def test_subjects(subject: str, answer: str) -> None:
    assert subject_of_answer(subject) == answer


def fields(*lines: str) -> dict[str, str]:
    return fields_of_answer(make_message("\r\n".join((*lines, "", "")).encode()))


def test_threads() -> None:
    assert fields("Subject: x") == {}
    assert fields("Message-ID: nonsense") == {}
    one = fields("Message-ID: <2@x>", "In-Reply-To: <1@x>")
    assert one == {"In-Reply-To": "<2@x>", "References": "<1@x> <2@x>"}
    two = fields("Message-ID: <2@x>", "In-Reply-To: <0@x> <1@x>")
    assert two["References"] == "<2@x>", "which of several is the parent, nobody knows"
    both = fields("Message-ID: <3@x>", "References: <1@x>\r\n\t<2@x>", "In-Reply-To: <9@x>")
    assert both["References"] == "<1@x> <2@x> <3@x>"
    odd = fields("Message-ID: <a=?utf-8?q?b?=@x>", "References: <c=?d@x> junk <ü@x>")
    assert odd == {
        "In-Reply-To": "<a=?utf-8?q?b?=@x>",
        "References": "<c=?d@x> <a=?utf-8?q?b?=@x>",
    }


def test_a_long_thread_keeps_the_first_and_the_newest_ids_whole() -> None:
    ids = [f"<{number:060}@mail.example.com>" for number in range(200)]
    found = fields("Message-ID: <last@x>", "References: " + "\r\n ".join(ids))["References"]
    kept = found.split()
    assert len(found) <= MAX_REFERENCES
    assert kept[0] == ids[0]
    assert kept[-1] == "<last@x>"
    assert kept[1:-1] == ids[-len(kept) + 2 :]
    assert len(kept) > 40


def test_a_thread_without_end_takes_no_time() -> None:
    """Leaving out one id after the other took the time of the square of their number."""
    ids = [f"<{number}@x>" for number in range(80_000)]
    kept = fields("Message-ID: <last@x>", f"References: {' '.join(ids)}")["References"].split()
    assert (kept[0], kept[-2:]) == (ids[0], [ids[-1], "<last@x>"])
    assert len(" ".join(kept)) <= MAX_REFERENCES
    long = fields("Message-ID: <last@x>", f"References: <{'a' * 890}@x> <b@x>" * 5)["References"]
    assert long.split()[-1] == "<last@x>"
