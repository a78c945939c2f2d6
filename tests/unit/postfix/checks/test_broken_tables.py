"""lamson.postfix.checks.broken_tables: what proxymap(8) may not read; more is in the catalogue."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.postfix.paper import Paper


@pytest.mark.skipif(os.geteuid() != 0, reason="only root reads what others may not")
def test_a_table_that_postfixs_user_may_not_read(
    paper: Callable[..., Paper], tmp_path: Path
) -> None:
    """proxymap asks as that user; the doctor, as root, is answered all the same."""
    one = paper()
    table, made = tmp_path / "boxes", tmp_path / "boxes.db"
    for path, mode in ((table, 0o600), (made, 0o644)):
        path.touch()
        path.chmod(mode)
    one.run("-e", "mail_owner=nobody", f"virtual_mailbox_maps=proxy:hash:{table}")
    one.run("-e", "virtual_mailbox_domains=other.test")
    assert one.findings() == []
    made.chmod(0o640)
    (finding,) = one.findings()
    assert finding.code == "table-cannot-be-opened"
    assert f"may not read {made}" in finding.problem
    one.run("-e", f"virtual_mailbox_maps=hash:{table}")
    assert one.findings() == []
