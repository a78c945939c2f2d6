"""Style sheets made style attributes, which more mail readers understand.

For whatever sends HTML. It takes the package css-inline, an extra; a page with a style sheet that
is sent without it goes out as it is, and the log says so once.
"""

from __future__ import annotations

import re
from functools import cache

from lamson import log

_SHEET = re.compile(r"<style\b", re.IGNORECASE)


def inlined(page: str) -> str:
    """``page`` with what its ``<style>`` elements say in attributes; nothing is fetched.

    Raises ValueError for styles that cannot be read.
    """
    if not _SHEET.search(page):
        return page
    try:
        import css_inline
    except ImportError:
        _tell()
        return page
    try:
        return css_inline.inline(page, load_remote_stylesheets=False, keep_at_rules=True)
    except css_inline.InlineError as error:
        raise ValueError(f"its styles cannot be inlined: {error}") from error


@cache
def _tell() -> None:
    log.logger.warning(
        "HTML with a <style> is sent as it is, which some mail readers do not show as meant:"
        " install css-inline (pip install 'lamson-postfix[html]')"
    )
