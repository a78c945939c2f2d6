"""lamson.postfix.private_copy: what needs no Postfix; with a real one: tests/postfix/test_proof."""

from __future__ import annotations

import os

import pytest

from lamson.errors import LamsonError
from lamson.postfix import private_copy


def test_only_root_runs_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1)
    with pytest.raises(LamsonError, match="only root") as raised, private_copy.place():
        pass
    assert raised.value.exit_code == os.EX_NOPERM


@pytest.mark.parametrize(
    "text", ["hash:$config_directory/x", "hash:${config_directory}/x", "hash:$(config_directory)/x"]
)
def test_what_lies_beside_main_cf_stays_there(text: str) -> None:
    assert private_copy.named(text, {"config_directory": "/etc/postfix"}) == "hash:/etc/postfix/x"
    other = "$config_directory_of_mine/x"
    assert private_copy.named(other, {"config_directory": "/etc/postfix"}) == other
