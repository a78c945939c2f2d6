"""Bounces of many servers, as if each were about tracked mail: the outcomes that come of them.

Whom a bounce is about, and whether that is for good, is known from others than us: from the fields
of RFC 3464 read as plain text, else from flufl.bounce. The mail is one to those and two more, of
whom nothing may be told. The shares are floors; they are printed with ``-s``.
"""

from __future__ import annotations

import email
import re
from typing import TYPE_CHECKING

import pytest

from lamson.delivery.outcomes import is_permanent
from lamson.delivery.reports import findings
from lamson.smtp import address
from lamson.storage.tracked import Tracked
from tests.corpora.samples import corpus, request, samples_of

if TYPE_CHECKING:
    from pathlib import Path

    from lamson.message.request import MailRequest

OTHERS = ("somebody@else.example", "another@else.example")
# Groups of fields with a Final-Recipient, up to an empty line.
_GROUP = re.compile(
    rb"(?:^[\w-]+ *:.*\n(?:[ \t].*\n)*)*?^Final-Recipient *:.*\n(?:.+\n)*", re.I | re.M
)
_NAMED = re.compile(
    rb"^(Final|Original)-Recipient *:[^;\n]*; *<?([^\s<>;|/]+@[^\s<>;]+?)>?\s*$", re.I | re.M
)
_STATUS = re.compile(rb"^Status *: *([245])\.\d+\.\d+", re.I | re.M)


def truth_of(raw: bytes) -> dict[str, str]:
    """Whom a bounce is about, and the class of each where fields tell it: "4", "5"; {} where nobody
    else can tell."""
    content = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    classes: dict[str, str] = {}
    for group in _GROUP.findall(content):
        names = {kind.lower(): name for kind, name in _NAMED.findall(group)}
        found = names.get(b"original") or names.get(b"final")
        status = _STATUS.search(group)
        if found is not None:
            told = status[1].decode() if status else ""
            classes.setdefault(address.normalise(found.decode("latin-1")), told)
    if not classes:
        flufl = pytest.importorskip("flufl.bounce")
        named = [one.decode("latin-1") for one in flufl.scan_message(email.message_from_bytes(raw))]
        if len(named) == 1 and re.fullmatch(r"[^\s|/{}]+@[^\s|/{}]+", named[0]):
            classes[address.normalise(named[0])] = ""
    return classes


def outcomes_of(message: MailRequest, *recipients: str) -> dict[str, bool]:
    """Of whom something is told, and whether that is for good."""
    mail = Tracked("a", "<1@test.com>", "", recipients, "app", None, "", 0.0, 0.0)
    report = message.report
    if report is None:
        return {}
    told = {one.address: is_permanent(kind, one) for kind, one in findings(mail, report)}
    return {address.normalise(one): for_good for one, for_good in told.items()}


def test_bounces_of_many_servers() -> None:
    _measure("sisimai", corpus("sisimai-set-of-emails"), floor=0.98)


def test_bounces_that_flufl_bounce_brings() -> None:
    paths = samples_of("flufl.bounce", "tests/data", "testing/data")
    if paths:
        _measure("flufl.bounce", paths, floor=0.9)


def _measure(name: str, paths: list[Path], *, floor: float) -> None:
    known = right = with_class = right_class = alone = reports = strangers = 0
    for path in paths:
        message = request(path)
        truth = truth_of(message.raw)
        reports += message.report is not None
        alone += bool(outcomes_of(message, "ann@test.example"))
        if not truth:
            continue
        told = outcomes_of(message, *truth, *OTHERS)
        known += 1
        right += truth.keys() <= told.keys()
        strangers += bool(told.keys() & set(OTHERS))
        if not truth.keys() <= told.keys():
            print("not told of:", path.name, truth)
        for one, number in truth.items():
            if number and one in told:
                with_class += 1
                right_class += told[one] == (number == "5")
    print(
        f"\n{name}: of {len(paths)}, {reports} reports, {alone} told of where the mail had one"
        f" recipient; of {known} others know whom they are about: {right} told of all of those,"
        f" {strangers} of somebody else; {right_class} of {with_class} rightly for good or not"
    )
    assert right / known >= floor
    assert right_class / with_class >= floor
    assert strangers == 0
