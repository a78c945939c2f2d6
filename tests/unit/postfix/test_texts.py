"""lamson.postfix.texts: files in a rollback file, and whether somebody has touched them."""

from __future__ import annotations

import json

import pytest

from lamson.postfix import texts

FILES = {"main.cf": b"a =\r\n\tb  # \xe9\n", "master.cf": "é\n".encode()}


def test_they_come_back_octet_by_octet() -> None:
    assert texts.restored(json.loads(json.dumps(texts.recorded(FILES)))) == FILES


@pytest.mark.parametrize("given", [None, [], {"/etc/passwd": "x"}, {"main.cf": 1}])
def test_nothing_else_is_restored(given: object) -> None:
    with pytest.raises(ValueError, match="its texts are no"):
        texts.restored(given)


def test_a_change_is_seen() -> None:
    assert texts.digests(FILES) == texts.digests(dict(FILES))
    assert texts.digests(FILES) != texts.digests({**FILES, "main.cf": b"a = b # \xe9\n"})
