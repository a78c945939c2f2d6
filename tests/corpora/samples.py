"""Where real mail lies: folders beside the repository, and packages that bring their test mails.

``LAMSON_CORPORA`` names the folder with the corpora; by default it is ``../shared/corpora``. Tests
that find nothing are skipped.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

from lamson.message.request import MailRequest
from lamson.smtp import address
from lamson.smtp.envelope import Envelope, Recipient

ROOT = Path(__file__).parents[2]
CORPORA = Path(os.environ.get("LAMSON_CORPORA", ROOT.parent / "shared" / "corpora"))


def corpus(name: str) -> list[Path]:
    """The mails of one corpus; skips the test where it is absent."""
    found = sorted((CORPORA / name).glob("*.eml"))
    if not found:
        pytest.skip(f"there is no {CORPORA / name}")
    return found


def samples_of(package: str, *folders: str) -> list[Path]:
    """The test mails that an installed package brings, [] where it brings none."""
    spec = importlib.util.find_spec(package)
    places = spec.submodule_search_locations if spec else None
    return [
        found
        for place in places or []
        for folder in folders
        for found in sorted(Path(place, folder).glob("*.txt"))
    ]


def request(path: Path) -> MailRequest:
    """The mail with the envelope that it came with, as far as its own fields tell."""
    raw = path.read_bytes()
    if b"\n" not in raw:
        raw = raw.replace(b"\r", b"\r\n")
    unknown = MailRequest(raw, Envelope("", ()), Recipient("list@test.com"))
    returned = (unknown["Return-Path"] or "").strip().strip("<>")
    to = address.single_mailbox(unknown["To"] or "") or "list@test.com"
    return MailRequest(unknown.content, Envelope(returned, (to,)), Recipient(to))
