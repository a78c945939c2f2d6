"""main.cf and master.cf as they were, octet by octet, in a rollback file.

For `lamson.postfix.apply`. postconf(1) writes a line anew when it changes it: white space, a value
over several lines, and the place of the line are lost. Where nobody has touched the files since,
undoing puts back what they were; else the values alone.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMES = ("main.cf", "master.cf")


def recorded(files: Mapping[str, bytes]) -> dict[str, str]:
    """As JSON can have them; what is not UTF-8 comes back as it was."""
    return {name: data.decode("utf-8", "surrogateescape") for name, data in files.items()}


def restored(texts: object) -> dict[str, bytes]:
    """The reverse. Raises ValueError for anything else."""
    if not isinstance(texts, dict) or not set(texts) <= set(NAMES):
        raise ValueError("its texts are no main.cf and master.cf")
    if not all(isinstance(text, str) for text in texts.values()):
        raise ValueError("its texts are no texts")
    return {name: text.encode("utf-8", "surrogateescape") for name, text in texts.items()}


def digests(files: Mapping[str, bytes]) -> dict[str, str]:
    """By which it is seen whether somebody has touched them."""
    return {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
