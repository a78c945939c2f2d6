"""What is wrong is told once, with what it means, and never without bound."""

from __future__ import annotations

from lamson.message.defects import MAX_DEFECTS, Defects
from lamson.message.parsed import ParsedMessage
from lamson_milter.actions import Reject


def test_it_is_a_list_of_texts() -> None:
    defects = Defects()
    assert defects == []
    assert not defects.could_hide
    defects.add("odd", kind="charset")
    defects.add("odd")
    assert defects == ["odd"]
    assert [*defects, "more"] == ["odd", "more"]
    assert (defects[0].kind, defects[0].hides) == ("charset", False)


def test_what_hides_is_told_in_one_word() -> None:
    defects = Defects()
    defects.add("odd")
    defects.add("cut", hides=True, kind="limit")
    assert defects.could_hide
    assert [defect for defect in defects if defect.hides] == ["cut"]


def test_there_is_a_bound_and_nothing_hides_behind_it() -> None:
    defects = Defects()
    for number in range(MAX_DEFECTS + 10):
        defects.add(f"odd {number}")
    assert len(defects) == MAX_DEFECTS
    assert not defects.could_hide
    defects.add("cut", hides=True)
    assert len(defects) == MAX_DEFECTS
    assert defects.could_hide
    assert defects.copy().could_hide


def test_a_copy_can_have_more() -> None:
    defects = Defects()
    defects.add("odd", kind="encoding")
    more = defects.copy()
    more.add("cut", hides=True)
    assert (defects, defects.could_hide) == (["odd"], False)
    assert (more, more.could_hide) == (["odd", "cut"], True)
    assert [defect.kind for defect in more] == ["encoding", "malformed"]


def test_a_defect_may_stand_in_a_reply() -> None:
    raw = b"Content-Type: text/plain; \x1ba=1; \x1ba=2\r\n\r\n"
    [defect] = ParsedMessage(raw).defects
    assert str(defect) == "Content-Type: parameter ?a stands there twice"
    assert Reject("5.7.1", defect).reply.text == defect
