"""A database's URL as it may be shown: without its passwords, in whatever form they stand there.

For whoever names a database, or any other server by its URL, in a message: the settings, the
database, its errors. A URL that is none is masked as well, since that is what errors are about.
What is masked beyond need, because somebody wrote an ``@`` or a ``:`` where it does not belong, is
no loss.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_plus

MASK = "********"

# Up to the last @: a password that should have had it as %40 reaches so far. Where the scheme or
# a slash is missing it is meant all the same.
_USER_INFO = re.compile(r"(://[^:/?]*:|\A(?:[^:/?]*:?//?)?[^:/?]*:(?!//)).*@", re.DOTALL)
# What stands where a port should, in a URL that lacks the host.
_NO_PORT = re.compile(r"(://[^:/?@\[]*:)(?!\*|\d+(?:[/?,]|$))[^/?]*")
_SECRET = re.compile("pass|pwd|secret|key|token|credential", re.IGNORECASE)


def masked(url: str) -> str:
    """The URL without passwords: before the host, and in the query (``password=`` and its like)."""
    place, question, query = url.partition("?")
    if question:
        query = "".join(map(_without_value, re.split("([&;])", query)))
    return _NO_PORT.sub(rf"\1{MASK}", _USER_INFO.sub(rf"\1{MASK}@", place + question + query))


def _without_value(pair: str) -> str:
    name, equals, _ = pair.partition("=")
    return f"{name}={MASK}" if equals and _SECRET.search(unquote_plus(name)) else pair
