"""What MkDocs has to be told so that the pages read the same in the repository and on the site.

MkDocs calls the functions here by their names (mkdocs.yml, ``hooks``). Pages of the repository that
lie outside docs/ become pages of the site, the decisions get an index, and links follow: one into
another file of the repository stays as text. A link that leads nowhere fails the build.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
# A page of the repository, and where the site has it, below docs/.
OUTSIDE = {
    "README.md": "project/README.md",
    "CHANGELOG.md": "project/CHANGELOG.md",
    "CONTRIBUTING.md": "project/CONTRIBUTING.md",
    "SECURITY.md": "project/SECURITY.md",
    "postfix/README.md": "project/postfix.md",
    **{
        path.relative_to(ROOT).as_posix(): path.relative_to(ROOT).as_posix()
        for path in sorted((ROOT / "examples").rglob("README.md"))
    },
}
DECISIONS = "decisions/README.md"

_WHERE = {below: path for path, below in OUTSIDE.items()}
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((?!\w+:)([^)#\s]*)(#[^)\s]+)?\)")
_FENCE = re.compile(r"^(```\w+) +(\S+)$", re.MULTILINE)  # ```python app/model.py
_CODE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages from outside docs/, and the index of the decisions."""
    for path, below in OUTSIDE.items():
        text = (ROOT / path).read_text(encoding="utf-8")
        files.append(File.generated(config, below, content=text))
    files.append(File.generated(config, DECISIONS, content=_index(Path(config.docs_dir))))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links and the headings of code blocks into what MkDocs understands."""
    path = page.file.src_uri
    at = posixpath.dirname(_WHERE.get(path, f"docs/{path}"))

    def follow(found: re.Match[str]) -> str:
        text, target, anchor = found[1], found[2], found[3] or ""
        if not target:
            return found[0]
        wanted = posixpath.normpath(posixpath.join(at, target))
        if not (ROOT / wanted).exists():
            raise PluginError(f"{path}: no such file: {target}")
        below = OUTSIDE.get(wanted, wanted.removeprefix("docs/"))
        if below == posixpath.dirname(DECISIONS):
            below = DECISIONS
        if files.get_file_from_path(below) is None or (below == wanted and wanted not in OUTSIDE):
            return text  # a file of the repository that the site has not
        return f"[{text}]({posixpath.relpath(below, posixpath.dirname(path))}{anchor})"

    parts = _CODE.split(markdown)
    parts[::2] = [_LINK.sub(follow, prose) for prose in parts[::2]]
    parts[1::2] = [_FENCE.sub(r'\1 title="\2"', code) for code in parts[1::2]]
    return "".join(parts)


def _index(docs: Path) -> str:
    lines = ["# Decisions", "", "What was decided, why, and what follows.", ""]
    for file in sorted((docs / "decisions").glob("0*.md")):
        title = file.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
        lines.append(f"* [{title}]({file.name})")
    return "\n".join(lines) + "\n"
