"""lamson.postfix.checks.files: a last line to which postconf would join what it adds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson.postfix.checks import files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.postfix.paper import Paper


def test_a_last_line_without_an_end(paper: Callable[..., Paper], tmp_path: Path) -> None:
    one = paper()
    one.run("-e", f"config_directory={tmp_path}")
    assert list(files.unfinished(one.site())) == [], "there are no files"
    (tmp_path / "main.cf").write_text("a = b\n")
    (tmp_path / "master.cf").write_text("smtp inet n - n - - smtpd")
    (finding,) = files.unfinished(one.site())
    assert finding.code == "unfinished-last-line"
    assert finding.fix.startswith(f"echo >> {tmp_path}/master.cf && ")
