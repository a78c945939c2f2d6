"""The documentation as a site: it builds without a warning, and reading it fetches nothing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.docs.blocks import DOCS

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("mkdocs", reason="MkDocs is not installed (make docs)")

# What a browser fetches by itself; links are the reader's own affair.
_FETCHED = re.compile(
    r"""<(?:script|img|iframe|link)\b[^>]*?\b(?:src|href)=["']?(?:https?:)?//\S+"""
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", directory],
        cwd=DOCS.parent,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return directory


@pytest.mark.slow
def test_the_site_is_built_without_a_warning_and_fetches_nothing(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 40
    found = {
        str(page.relative_to(site)): match[0]
        for page in pages
        if (match := _FETCHED.search(page.read_text(encoding="utf-8")))
    }
    assert found == {}


@pytest.mark.slow
def test_public_names_are_shown_with_their_types_and_words(site: Path) -> None:
    page = (site / "reference/api/lamson.html").read_text(encoding="utf-8")
    assert 'id="lamson.Delivery.send"' in page
    text = re.sub(r"<[^>]+>|\s+", "", page)
    assert "sender:str|None=None" in text
    assert "RaisesAddressError" in text


@pytest.mark.slow
def test_links_out_of_docs_lead_to_pages_of_the_site(site: Path) -> None:
    index = (site / "index.html").read_text(encoding="utf-8")
    for path in (
        "project/CHANGELOG.html",
        "project/postfix.html",
        "decisions/index.html",
        "examples/index.html",
    ):
        assert f'href="{path}"' in index
        assert (site / path).is_file()
