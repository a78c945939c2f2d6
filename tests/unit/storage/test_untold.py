"""lamson.storage.untold."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from lamson.storage import untold
from lamson.storage.untold import Untold


def test_what_nobody_has_is_given_at_once() -> None:
    names = Untold()
    assert names.begin(["a", "b"]) == {"a", "b"}
    assert names.begin(["c"]) == {"c"}
    assert names.begin([]) == set()


def test_what_another_has_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(untold, "PATIENCE", 60.0)
    names = Untold()
    names.begin(["a", "b"])
    with ThreadPoolExecutor() as pool:
        waits = pool.submit(names.begin, ["b", "c"])
        with pytest.raises(TimeoutError):
            waits.result(timeout=0.1)
        names.end(["a"])
        with pytest.raises(TimeoutError):
            waits.result(timeout=0.1)
        assert names.begin(["c"]) == {"c"}, "who waits has nothing meanwhile"
        names.end(["b", "c"])
        assert waits.result(timeout=60) == {"b", "c"}


def test_what_does_not_come_in_time_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(untold, "PATIENCE", 0.01)
    names = Untold()
    names.begin(["a"])
    assert names.begin(["a", "b"]) == {"b"}
    names.end(["b"])
    assert names.begin(["a"]) == set()
