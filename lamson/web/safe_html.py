"""The HTML of a mail as the window may show it: nothing in it runs, and nothing is loaded.

nh3 (ammonia) writes it anew from what is allowed: no scripts, forms, frames, SVG, nor what names
other documents. Styles are kept as far as they say how a text looks, and not what to load. Pictures
that came with the mail become part of the page (``data:``), up to a limit; those of elsewhere are
left out unless they are asked for. The page goes into a frame without rights, with a policy of its
own (`POLICY`), which forbids all this once more.

As browsers read HTML, a few kilobytes can become gigabytes (formatting that is taken up again in
each paragraph), or take minutes (depth). So a process of its own does it, with limits: what needs
more is not shown.
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import threading
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lamson.message.message import Message

MOST = 512 * 1024  # characters of HTML that are shown
PICTURES = 4 * 1024 * 1024  # octets of pictures that are shown
_WRITTEN = 16 * 1024 * 1024  # octets that it may become, pictures included
_MEMORY = 512 * 1024 * 1024  # octets that may be taken for it,
_SECONDS = 5  # of a processor,
_PATIENCE = 20.0  # and of anybody's time
_AT_ONCE = threading.BoundedSemaphore(2)
POLICY = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none';"
    " style-src 'unsafe-inline'; img-src data:{remote}; form-action 'none'; base-uri 'none';"
    " frame-ancestors 'self'"
)
_PICTURE_TYPES = ("image/png", "image/jpeg", "image/gif", "image/webp")
_TAGS = (
    "a abbr b blockquote br caption center code col colgroup dd del div dl dt em figcaption figure"
    " font h1 h2 h3 h4 h5 h6 hr i img ins kbd li mark ol p pre q s small span strike strong sub sup"
    " table tbody td tfoot th thead tr tt u ul"
)
_EVERYWHERE = {"align", "bgcolor", "dir", "lang", "style", "title", "valign"}
_ATTRIBUTES = {
    "a": {"href"},
    "font": {"color", "face", "size"},
    "img": {"alt", "height", "src", "width"},
    "table": {"border", "cellpadding", "cellspacing", "width"},
    "td": {"colspan", "height", "rowspan", "width"},
    "th": {"colspan", "height", "rowspan", "width"},
    "ol": {"start"},
}
_STYLES = (
    "background-color border border-bottom border-collapse border-color border-left border-radius"
    " border-right border-spacing border-style border-top border-width color direction font"
    " font-family font-size font-style font-weight height letter-spacing line-height margin"
    " margin-bottom margin-left margin-right margin-top max-width min-width padding padding-bottom"
    " padding-left padding-right padding-top text-align text-decoration text-indent text-transform"
    " vertical-align white-space width word-break word-wrap"
)
_LOADS = re.compile(r"url|image-set|expression|import|@|\\|/\*", re.IGNORECASE)
_LOADED = re.compile(r"\bsrc\s{0,9}=\s{0,9}[\"']?\s{0,9}https?:", re.IGNORECASE)
_REMOTE = re.compile(r"https?://", re.IGNORECASE)
_PAGE = """\
<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>html{{color-scheme:light;background:#fff;color:#1b1b1b;font:16px/1.5 sans-serif}}
body{{margin:0;padding:12px;overflow-wrap:break-word}}img{{max-width:100%;height:auto}}
blockquote{{border-left:3px solid #c8ccd4;margin:0 0 0 4px;padding-left:12px}}</style></head>
<body>{body}</body></html>
"""


def page(message: Message, *, loads_remote: bool = False) -> tuple[str, str]:
    """The page for the frame, and its Content-Security-Policy."""
    given = {
        "html": (message.html or "")[:MOST],
        "pictures": _pictures(message),
        "loads_remote": loads_remote,
    }
    body = _cleaned(json.dumps(given).encode())
    if body is None:
        body = "<p>This HTML takes too much to be shown. Look at the text of the mail.</p>"
    text = _PAGE.format(title=escape(message.subject[:200]), body=body)
    return text, POLICY.format(remote=" http: https:" if loads_remote else "")


def _cleaned(given: bytes) -> str | None:
    """What `main` makes of it in a process of its own; None where that needs too much."""
    with _AT_ONCE:
        try:
            done = subprocess.run(
                [sys.executable, "-m", "lamson.web.safe_html"],
                input=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=_PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return None
    return None if done.returncode else done.stdout.decode("utf-8", "replace")


def _pictures(message: Message) -> dict[str, str]:
    """Those that came with the mail, by their ids: as many as may be shown."""
    found: dict[str, str] = {}
    left = PICTURES
    for part in message.parts:
        if part.content_id and part.content_type in _PICTURE_TYPES and len(part.content) <= left:
            left -= len(part.content)
            octets = base64.b64encode(part.content).decode()
            found[part.content_id] = f"data:{part.content_type};base64,{octets}"
    return found


def main() -> None:
    """Clean what standard input gives, for standard output."""
    import resource

    for limit, most in (
        (resource.RLIMIT_AS, _MEMORY),
        (resource.RLIMIT_CPU, _SECONDS),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (most, most))
    given = json.loads(sys.stdin.buffer.read())
    cleaned = clean(given["html"], given["pictures"], loads_remote=given["loads_remote"]).encode()
    if len(cleaned) > _WRITTEN:
        sys.exit(1)
    sys.stdout.buffer.write(cleaned)


def clean(html: str, pictures: Mapping[str, str], *, loads_remote: bool) -> str:
    """The HTML, written anew. ``pictures`` are those that it may name by ``cid:``."""
    import nh3

    cleaned: str = nh3.clean(
        html,
        tags=set(_TAGS.split()),
        clean_content_tags={"script", "style", "template", "title", "noscript", "svg", "math"},
        attributes={"*": _EVERYWHERE, **_ATTRIBUTES},
        attribute_filter=_Filter(pictures, loads_remote=loads_remote),
        url_schemes={"http", "https", "mailto", "cid"},
        link_rel="noopener noreferrer nofollow",
        set_tag_attribute_values={"a": {"target": "_blank"}},
        filter_style_properties=set(_STYLES.split()),
        strip_comments=True,
    )
    return cleaned


def has_remote(message: Message) -> bool:
    """Whether something in it would be loaded from elsewhere, as far as a look tells."""
    html = (message.html or "")[:MOST]
    return _LOADED.search(html) is not None


class _Filter:
    """Says what becomes of the attributes that could load something."""

    def __init__(self, pictures: Mapping[str, str], *, loads_remote: bool) -> None:
        self._pictures = pictures
        self._loads_remote = loads_remote
        self._left = _WRITTEN // 2

    def __call__(self, tag: str, name: str, value: str) -> str | None:
        if name == "style":
            return None if _LOADS.search(value) else value
        if tag != "img" or name != "src":
            return value
        if value[:4].lower() == "cid:":
            return self._own(value[4:])
        return value if self._loads_remote and _REMOTE.match(value) else None

    def _own(self, content_id: str) -> str | None:
        from urllib.parse import unquote

        found = self._pictures.get(content_id) or self._pictures.get(unquote(content_id))
        if found is None or len(found) > self._left:
            return None
        self._left -= len(found)
        return found


if __name__ == "__main__":
    main()
