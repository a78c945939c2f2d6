"""lamson.postfix.listing: what tables have in them, whatever their kind."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from lamson.postfix import listing

if TYPE_CHECKING:
    from pathlib import Path

POSTMAP = shutil.which("postmap", path="/usr/sbin:/usr/bin:/usr/local/sbin")
MOST = 200


def keys(table: str) -> set[str]:
    return {key for key, _ in listing.of(table, (), MOST).pairs}


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("inline:{a.test=x, b.test=y}", {"a.test", "b.test"}),
        ("inline:{{a@b.test = c@d.test, e@f.test}}", {"a@b.test"}),
        ("unionmap:{inline:{a.test=x}, inline:{b.test=y}}", {"a.test", "b.test"}),
        ("pipemap:{inline:{a.test=x}, socketmap:inet:x:1:y}", {"a.test"}),
        ("proxy:inline:{a.test=x}", {"a.test"}),
        (r"regexp:{{/^joe@a\.b-c\.test$$/ OK}, {!/[@.]d\.t$$/ x}}", {"joe@a.b-c.test", "d.t"}),
    ],
)  # fmt: skip
def test_tables_that_are_written_out(table: str, expected: set[str]) -> None:
    assert keys(table) == expected


def test_texts(tmp_path: Path) -> None:
    text = tmp_path / "table"
    text.write_text("# comment\na.test  x\n  goes on\n\nb@c.test y z\nalone\n")
    pairs = [("a.test", "x"), ("b@c.test", "y z"), ("alone", "")]
    assert listing.of(f"texthash:{text}", (), MOST).pairs == pairs
    assert listing.of(f"cdb:{text}", (), MOST).pairs == pairs, "no postmap lists this kind"
    text.write_text(r"/^(.*)@lists\.example\.test$/ x" + "\n# /@no\\.test/\n")
    assert keys(f"pcre:{text}") == {"@lists.example.test"}


@pytest.mark.skipif(POSTMAP is None, reason="Postfix is not installed")
def test_a_database_is_listed_by_postmap(tmp_path: Path) -> None:
    (tmp_path / "main.cf").write_text("compatibility_level = 3.6\n")
    text = tmp_path / "table"
    text.write_text("".join(f"u{number}@a.test x{number}\n" for number in range(1_000)))
    subprocess.run([str(POSTMAP), "-c", str(tmp_path), f"hash:{text}"], check=True)
    text.unlink()
    found = listing.of(f"proxy:hash:{text}", ("-c", str(tmp_path)), MOST)
    assert (len(set(found.pairs)), found.total) == (MOST, 1_000)
    numbers = sorted(int(value[1:]) for _, value in found.pairs)
    assert numbers[0] < 100
    assert numbers[-1] > 900, "they are spread over it"
    assert found == listing.of(f"hash:{text}", ("-c", str(tmp_path)), MOST), "the same each time"


@pytest.mark.parametrize(
    "table", ["ldap:/etc/ldap.cf", "socketmap:inet:x:1:y", "static:OK", "texthash:/nowhere/x"]
)
def test_what_cannot_be_listed_is_named(table: str) -> None:
    found = listing.of(f"proxy:{table}", (), MOST)
    assert (found.pairs, found.unlisted) == ([], [table])
