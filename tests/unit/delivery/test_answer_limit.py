"""lamson.delivery.answer_limit"""

from lamson.delivery.answer_limit import AnswerLimit


def test_an_answer_that_was_taken_back_does_not_count() -> None:
    limit = AnswerLimit(1)
    assert limit.allows("a")
    assert not limit.allows("a")
    for _ in range(2):
        limit.take_back("a")
    assert [limit.allows("a"), limit.allows("a")] == [True, False]


def test_the_limit_remembers_so_many_correspondents() -> None:
    limit = AnswerLimit(1, remember=4)
    assert all(limit.allows(name) for name in ("a", "b", "c", "d", "a"))
    assert not limit.allows("c")
