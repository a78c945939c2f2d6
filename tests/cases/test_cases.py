"""Small mails and what they say: each `NAME.eml` is read as `NAME.json` has it.

`LAMSON_CASES` names the directory; without it ``shared/cases/mail`` beside the repository is looked
at. Nothing of it is kept here; where it is not there, there is nothing to try.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from lamson.message.request import MailRequest
from lamson.smtp.envelope import Envelope, Recipient

ROOT = Path(__file__).resolve().parents[2]
CASES = Path(os.environ.get("LAMSON_CASES") or ROOT.parent / "shared" / "cases" / "mail")


def _told() -> list[tuple[str, str, Any]]:
    """Each value as (name of the case, accessor, right value)."""
    told = []
    for path in sorted(CASES.glob("*.json")):
        right = json.loads(path.read_text())["right"]
        if isinstance(right, dict):  # others say in words what should be sent
            told += [(path.stem, accessor, value) for accessor, value in right.items()]
    return told


TOLD = _told()
_VALUES = [pytest.param(*told, id="-".join(told[:2])) for told in TOLD]


@pytest.mark.skipif(not TOLD, reason=f"there are no cases in {CASES}")
@pytest.mark.parametrize(("name", "accessor", "right"), _VALUES)
def test_a_case_is_read_right(name: str, accessor: str, right: Any) -> None:
    case = json.loads((CASES / f"{name}.json").read_text())
    envelope = Envelope(case["envelope_sender"], ("list@test.com",))
    content = (CASES / f"{name}.eml").read_bytes()
    message = MailRequest(content, envelope, Recipient("list@test.com"))
    if accessor == "body_has":
        at = 0
        for text in right:
            at = message.body.find(text, at)
            assert at >= 0, (text, message.body)
    else:
        assert _asked(message, accessor) == right


def _asked(message: MailRequest, accessor: str) -> object:
    if accessor == "auto":
        return message.is_automatic
    if accessor == "names":
        return [part.filename for part in message.attachments]
    if accessor.startswith("hdr:"):
        return message[accessor.removeprefix("hdr:")]
    return getattr(message, accessor)
