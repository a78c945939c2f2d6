"""lamson.postfix.apply: a plan carried out and undone. On a real configuration: tests/postfix."""

from __future__ import annotations

import json
import os
import resource
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lamson.errors import LamsonError
from lamson.postfix import apply
from lamson.postfix.plan import Change

if TYPE_CHECKING:
    from collections.abc import Callable

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
    recorded = {change["name"] for change in json.loads(rollback.read_text())["changes"]}
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
    one.run("-e", "smtpd_forbid_bare_newline=$soft_bounce")
    before = one.read()
    assert apply.carry_out(one.postconf, one.changes(), tmp_path / "undo") is None
    assert one.read() == before
    assert not (tmp_path / "undo").exists()
    one.run("-e", "enable_long_queue_ids=no")
    assert one.apply(), "what is safe is done"
    assert [change.name for change in one.changes()] == ["smtpd_forbid_bare_newline"]


def test_mail_is_not_taken_before_it_can_be_brought_to_us(paper: Callable[..., Paper]) -> None:
    one = paper()
    one.run("-X", "relay_domains")
    one.run("-e", f"transport_maps={one.main['transport_maps']}, static:smtp:x")
    one.run("-e", "mail_version=3.5.25")  # which takes no regexp in main.cf
    found = {change.name: change.doubt for change in one.changes()}
    assert "another table" in found["transport_maps"]
    assert found["relay_domains"].startswith("transport_maps has to be changed before")
    one.run("-X", "mail_version")
    one.run("-M", "lamson/unix=lamson unix - - n - - pipe")
    one.run("-X", "transport_maps")
    found = {change.name: change.doubt for change in one.changes()}
    assert found["transport_maps"].startswith("lamson/unix has to be changed before")
    assert found["relay_domains"]
    assert one.apply() is None


def test_tables_are_for_postfix_to_read_and_rollback_files_are_not(
    paper: Callable[..., Paper], tmp_path: Path
) -> None:
    """Whatever the umask of who calls."""
    one = paper()
    place = tmp_path / "lamson"
    table = Change("table", str(place / "others"), None, "!/@x$/ OK\n", "")
    before = os.umask(0o077)
    try:
        rollback = apply.carry_out(one.postconf, [table], place)
    finally:
        os.umask(before)
    assert rollback is not None
    modes = [path.stat().st_mode & 0o777 for path in (place, Path(table.name), rollback)]
    assert modes == [0o755, 0o644, 0o600]


def test_without_a_rollback_file_nothing_is_changed(
    paper: Callable[..., Paper], tmp_path: Path
) -> None:
    one = paper()
    one.run("-e", "enable_long_queue_ids=no")
    before, changes = one.read(), one.changes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))  # as a full disk does
    try:
        with pytest.raises(LamsonError, match="no rollback file can be written") as raised:
            apply.carry_out(one.postconf, changes, tmp_path / "undo")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert raised.value.exit_code == 73
    assert list((tmp_path / "undo").iterdir()) == []
    assert one.read() == before


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
