"""The Postfix of the containers has the lines that `lamson postfix plan` writes."""

from __future__ import annotations

import re
from pathlib import Path

from lamson.postfix import submission

POSTFIX = Path(__file__).parents[2] / "postfix"


def test_its_lmtp_client_does_what_a_service_of_our_own_does() -> None:
    recipe = (POSTFIX / "example" / "master.cf").read_text(encoding="utf-8")
    wanted = dict(re.findall(r"^  -o (lmtp_(?!tls_)\w+)=(\S+)$", recipe, re.MULTILINE))
    main = (POSTFIX / "container" / "main.cf").read_text(encoding="utf-8")
    there = dict(re.findall(r"^(lmtp_\w+) = (\S+)$", main, re.MULTILINE))
    assert len(wanted) == 4
    assert wanted.items() <= there.items()


def test_what_is_asked_of_strangers_is_not_asked_at_submission() -> None:
    dockerfile = (POSTFIX / "Dockerfile").read_text(encoding="utf-8")
    given = re.findall(r"'submission/inet/(\w+) =", dockerfile)
    assert set(submission.INHERITED) <= set(given)
