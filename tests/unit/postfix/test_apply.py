"""lamson.postfix.apply: a plan carried out and undone. On a real configuration: tests/postfix."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from lamson.errors import LamsonError
from lamson.postfix import apply

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.postfix.paper import Paper


def test_it_is_done_once_and_undone(paper: Callable[..., Paper], tmp_path: Path) -> None:
    one = paper()
    assert one.apply() is None
    one.run("-e", "relay_domains=other.test")
    one.run("-X", "relay_recipient_maps")
    one.run("-MX", "127.0.0.1:10587/inet")
    before = one.read()
    rollback = apply.carry_out(one.postconf, one.changes(), tmp_path)
    assert rollback is not None
    recorded = {change["name"] for change in json.loads(rollback.read_text())}
    assert recorded == {"relay_domains", "relay_recipient_maps", "127.0.0.1:10587/inet"}
    assert one.findings() == []
    assert {change.name for change in apply.undo(one.postconf, rollback)} == recorded
    assert one.read() == before
    assert apply.undo(one.postconf, rollback) == []
    one.run("-e", "relay_domains=third.test")
    with pytest.raises(LamsonError, match=r"was changed since, to third\.test; nothing was undone"):
        apply.undo(one.postconf, rollback)


def test_what_is_in_doubt_is_not_done(paper: Callable[..., Paper], tmp_path: Path) -> None:
    one = paper()
    one.run("-e", "relay_domains=$mydestination other.test", "lmtp_send_xforward_command=no")
    before = one.read()
    with pytest.raises(LamsonError, match=r"relay_domains: .* macro.* nothing was changed") as it:
        apply.carry_out(one.postconf, one.changes(), tmp_path / "undo")
    assert it.value.exit_code == os.EX_CONFIG
    assert one.read() == before
    assert not (tmp_path / "undo").exists()


@pytest.mark.parametrize(
    "content",
    [
        "", "{}", "[]", "null", "3", '"x"', "[{}]", "[[]]", '["x"]',
        '[{"file": "main.cf", "name": "x", "before": null, "after": 1, "why": ""}]',
        '[{"file": "main.cf", "name": "x", "before": 1, "after": "", "why": ""}]',
        '[{"file": "/etc/passwd", "name": "x", "before": null, "after": "", "why": ""}]',
    ],
)  # fmt: skip
def test_only_a_rollback_file_is_undone(
    paper: Callable[..., Paper], tmp_path: Path, content: str
) -> None:
    file = tmp_path / "rollback.json"
    file.write_text(content)
    with pytest.raises(LamsonError, match=r"rollback\.json: no rollback file: ") as it:
        apply.undo(paper().postconf, file)
    assert it.value.exit_code == os.EX_DATAERR
    file.unlink()
    with pytest.raises(LamsonError, match=r"rollback\.json: No such file") as it:
        apply.undo(paper().postconf, file)
    assert it.value.exit_code == os.EX_NOINPUT
