"""What is wrong is told once, with what it means, and never without bound."""

from __future__ import annotations

from lamson.message.defects import MAX_DEFECTS, Defects


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
