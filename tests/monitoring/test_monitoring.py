"""postfix/monitoring: the alerts fire for what they are for, and name only what there is.

By Debian's own promtool, where it is installed.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from lamson.service import exposition

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "postfix" / "monitoring"
RULES = (MONITORING / "lamson.rules.yml").read_text(encoding="utf-8")
ALERTS = re.findall(r"- alert: (\w+)", RULES)
PROMTOOL = shutil.which("promtool")


@pytest.mark.skipif(PROMTOOL is None, reason="needs promtool, of Debian's package prometheus")
@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "config", MONITORING / "prometheus.yml"),  # and with it the rules
        ("test", "rules", Path(__file__).with_name("alerts.yml")),
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_promtool_agrees(arguments: tuple[str, str, Path]) -> None:
    assert PROMTOOL is not None
    done = subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tried() -> None:
    tried = Path(__file__).with_name("alerts.yml").read_text(encoding="utf-8")
    fired = re.findall(r"alertname: (\w+)\n +exp_alerts:\n +- exp_labels", tried)
    assert set(fired) == set(ALERTS)


def test_every_alert_is_explained() -> None:
    page = (ROOT / "docs" / "how-to" / "monitor.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(Lamson\w+)` ", page, re.MULTILINE) == ALERTS


def test_rules_and_dashboard_name_only_what_there_is() -> None:
    dashboard = json.loads((MONITORING / "grafana-dashboard.json").read_text(encoding="utf-8"))
    asked = [one["expr"] for panel in dashboard["panels"] for one in panel["targets"]]
    assert len(asked) > 10
    known = set(exposition.names())
    for text in (RULES, *asked):
        for name in re.findall(r"\blamson_\w+", text):
            assert name in known, name
