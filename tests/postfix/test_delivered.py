"""`lamson postfix check -deliver`: a probe through a real Postfix and a real Lamson, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lamson.postfix.checks import delivered
from tests.postfix.instance import why_not
from tests.postfix.patient import site_of

if TYPE_CHECKING:
    from lamson.postfix.finding import Finding, Untried
    from lamson.settings.model import Settings
    from tests.postfix.stage import Stage

pytestmark = [
    pytest.mark.postfix,
    pytest.mark.slow,
    pytest.mark.skipif(why_not() is not None, reason=why_not() or "Postfix is here"),
]

MEMBERS = r"members@app\.test"  # a route of the stories' project
PATIENCE = 20.0
IMPATIENCE = 8.0

# What is set in main.cf, and what the doctor has to say: of which leg, what changed, by what.
CHANGED = {
    "senders are made a provider's": (
        {"sender_canonical_maps": "regexp:{{/.+/ me@provider.test}}"},
        [("arrived-otherwise-out", "From", "sender_canonical_maps")],
    ),
    "subjects are marked": (
        {"header_checks": "regexp:{{/^Subject: (.*)/ REPLACE Subject: [SEEN] $$1}}"},
        [("arrived-otherwise-in", "Subject", "header_checks")],
    ),
    "long lines are broken": (
        {"lmtp_line_length_limit": "998"},
        [("arrived-otherwise-in", "a long line", "lmtp_line_length_limit")],
    ),
    "lines of the body are replaced": (
        {"body_checks": "regexp:{{/^The end/ REPLACE No end}}"},
        [("arrived-otherwise-in", "the body", "body_checks")],
    ),
    "mail is held": (
        {"header_checks": "regexp:{{/^Subject: Lamson probe/ HOLD}}"},
        [("probe-did-not-arrive", "hold", "")],
    ),
    "mail is gone": (
        {"header_checks": "regexp:{{/^Subject: Lamson probe/ DISCARD}}"},
        [("probe-did-not-arrive", "did not get to Lamson", "")],
    ),
    "answers are refused": (
        {"header_checks": "regexp:{{/^From:.*lamson-probe.b/ REJECT not you}}"},
        [("answer-did-not-arrive", "not you", "")],
    ),
    "a next hop that nobody listens at": (
        {"transport_maps": "inline:{app.test=lmtp:inet:[127.0.0.1]:1}"},
        [("probe-did-not-arrive", "Connection refused", "")],
    ),
}


def said(stage: Stage, settings: Settings, patience: float = PATIENCE) -> list[Finding | Untried]:
    site = site_of(settings, stage.postfix.base / "etc", MEMBERS)
    return list(delivered.findings(site, f"127.0.0.1:{stage.postfix.smtp_port}", patience))


@pytest.mark.timeout(300)
def test_what_is_changed_on_the_way_is_named(asked: tuple[Stage, Settings]) -> None:
    stage, settings = asked
    assert said(stage, settings) == [], "as it was sent, in and out"
    usual = dict(stage.postfix.main)
    for what, (broken, expected) in CHANGED.items():
        stage.postfix.main = {**usual, **broken}
        stage.postfix.write_config()
        reloads = len(stage.postfix.log_lines("reload -- version"))
        stage.postfix.reload()
        stage.postfix.wait_log("reload -- version", count=reloads + 1)
        is_lost = not expected[0][0].startswith("arrived")
        found = said(stage, settings, IMPATIENCE if is_lost else PATIENCE)
        told = [(one.code, f"{one.problem} {one.why}", getattr(one, "fix", "")) for one in found]
        for code, part, parameter in expected:
            assert any(
                code == one and part in problem and parameter in problem + fix
                for one, problem, fix in told
            ), (what, found)
        assert {one.code.rpartition("-")[0] for one in found} == {
            code.rpartition("-")[0] for code, _, _ in expected
        }, (what, found)
