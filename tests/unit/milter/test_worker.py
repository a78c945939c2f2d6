"""lamson_milter.worker: what the supervisor is told of it. How it serves: tests/milter."""

from __future__ import annotations

import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest

from lamson.errors import SettingsError
from lamson.settings import Milter, Settings
from lamson_milter import worker

if TYPE_CHECKING:
    from pathlib import Path


def test_the_group() -> None:
    settings = Settings(
        handlers=[], milter=Milter("127.0.0.1:8825", workers=3, check_recipients=True)
    )
    group = worker.group()
    assert group.name == "milter"
    assert group.count(settings) == 3
    (listener,) = group.listeners(settings)
    assert listener.listen == "127.0.0.1:8825"
    assert listener.is_blocking, "libmilter pauses where nobody is waiting"


def test_without_the_bindings_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "milter", None)
    for name in [name for name in sys.modules if name.startswith("lamson_milter.libmilter.")]:
        monkeypatch.delitem(sys.modules, name)
    link: Any = None
    with (
        socket.socket() as sock,
        pytest.raises(SettingsError, match=r"libmilter-dev and then lamson-postfix\[milter\]"),
    ):
        worker.run(tmp_path, [sock], link)
