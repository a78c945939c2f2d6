"""lamson.postfix.proof: what counts as another answer. Asked of a real Postfix: tests/postfix."""

from __future__ import annotations

import pytest

from lamson.postfix.asking import Reply, Way
from lamson.postfix.proof import Answer, compare

PORT = "smtp/inet, to the world"
HERE = "smtp/inet, to this machine"
RELAY = Way("relay", "[mx.test]", "ann@a.test")
OK, UNKNOWN, DENIED = Reply(250, "2.1.5 Ok"), Reply(550, "5.1.1 unknown"), Reply(554, "5.7.1 no")
LATER = Reply(451, "4.3.0 Temporary lookup failure")


def answer(reply: Reply, way: Way = RELAY, here: Reply = OK) -> Answer:
    return Answer({PORT: reply, HERE: here}, way)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (answer(OK), answer(UNKNOWN)),
        (answer(OK), answer(LATER)),
        (answer(DENIED), answer(OK)),
        (answer(OK), answer(OK, here=UNKNOWN)),
        (answer(OK), answer(OK, Way("smtp", "[mx.test]", "ann@a.test"))),
        (answer(OK), answer(OK, Way("relay", "[mx2.test]", "ann@a.test"))),
        (answer(OK), answer(OK, Way("relay", "[mx.test]", "bob@a.test"))),
        (answer(OK), answer(OK, Way("", "", "", is_known=False))),
    ],
)
def test_what_would_be_answered_otherwise_is_named(before: Answer, after: Answer) -> None:
    proof = compare(["ann@a.test"], {"ann@a.test": before}, {"ann@a.test": after})
    assert [one.address for one in proof.changed] == ["ann@a.test"]
    assert str(proof.changed[0]).startswith("ann@a.test: before: ")


def test_another_word_for_the_same_is_none() -> None:
    proof = compare(["x"], {"x": answer(DENIED)}, {"x": answer(UNKNOWN)})
    assert (proof.compared, proof.changed) == (1, [])


def test_the_difference_is_told_by_whom_it_concerns() -> None:
    proof = compare(["x"], {"x": answer(OK)}, {"x": answer(OK, here=UNKNOWN)})
    told = str(proof.changed[0])
    assert told == (
        f"x: before: 250 2.1.5 Ok ({HERE}), to relay:[mx.test];"
        f" after: 550 5.1.1 unknown ({HERE}), to relay:[mx.test]"
    )


def test_what_could_not_be_asked_is_said_and_is_no_difference() -> None:
    addresses = [f"u{number}@a.test" for number in range(9)]
    said = {one: answer(LATER) for one in addresses[:7]}
    proof = compare(addresses, said, said, ["a note"])
    assert (proof.compared, proof.changed) == (7, [])
    assert proof.notes[0] == "a note"
    assert proof.notes[1].endswith(": u7@a.test, u8@a.test")
    assert "u0@a.test (451 4.3.0 Temporary lookup failure)" in proof.notes[2]
    assert proof.notes[2].endswith("and 2 more")
