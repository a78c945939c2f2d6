"""What is shipped beside the packages: the files for operators, and the list of locked releases.

They lie in the tree of the source, or where an installation has put them. Nothing is looked at
here: who opens one that is missing is told its name.
"""

from __future__ import annotations

import sysconfig
from pathlib import Path

_BESIDE = Path(__file__).parents[2]


def operator_files() -> Path:
    """The directory ``postfix`` of the source, or where it was installed."""
    return _BESIDE / "postfix" if _is_source() else _installed()


def lock() -> Path:
    """The file ``requirements.lock``: the releases that the image of Lamson has, with hashes."""
    return (_BESIDE if _is_source() else _installed()) / "requirements.lock"


def _is_source() -> bool:
    return (_BESIDE / "postfix" / "Dockerfile").is_file()


def _installed() -> Path:
    return Path(sysconfig.get_path("data")) / "share" / "lamson" / "postfix"
