"""main.cf and master.cf as files: what postconf(1) makes of them when it is told to add a line."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from lamson.postfix.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamson.postfix.site import Site


def unfinished(site: Site) -> Iterator[Finding]:
    """A last line without its end: postconf joins what it adds to it, and both are lost."""
    for name in ("main.cf", "master.cf"):
        file = site.configuration.directory / name
        with suppress(OSError):
            if not file.read_bytes().endswith(b"\n"):
                yield Finding(
                    "unfinished-last-line",
                    f"{file} does not end with a line end",
                    "what postconf adds is joined to its last line, so that neither counts",
                    f"echo >> {file} && {site.mend.reload}",
                )
