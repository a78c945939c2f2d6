"""A picture of the rates: ``python -m tests.bench.plot RESULTS.json PICTURE.svg`` (or .png).

One panel for each part of the benchmark that compares peers, in it one group of bars for each load
and one bar for each peer. The axis is logarithmic, as rates differ by the thousandfold.
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import Any

_PARTS = {
    "accept": "Accepting, nothing is kept",
    "durable": "Durable: seen, state, a reply (SQLite)",
    "postgres": "Durable on PostgreSQL",
}
_COLOURS = {
    "smtp-sink": "#9a9a9a",
    "aiosmtpd": "#c9a227",
    "salmon": "#e08e79",
    "salmon silent": "#edbfb3",
    "obvious": "#c9a227",
    "dovecot": "#5b8c5a",
    "by hand": "#9a9a9a",
    "lamson": "#1f4e9c",
    "lamson durable": "#1f4e9c",
    "lamson, 1 worker": "#1f4e9c",
    "lamson, 2 workers": "#7d9fd3",
}
_BAR = 0.19  # inches


def draw(report: dict[str, Any], path: Path) -> None:
    """Write the picture of ``report`` (as `--json` writes it); the suffix tells the format."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams.update({"font.size": 9, "svg.hashsalt": "bench", "svg.fonttype": "none"})
    from matplotlib import pyplot

    groups = {
        part: [
            section["results"]
            for section in report["sections"]
            if section["part"] == part and section["results"]
        ]
        for part in _PARTS
    }
    parts = [part for part in _PARTS if groups[part]]
    if not parts:
        raise ValueError("nothing was compared that could be drawn")
    # The first panel stands on the left, the others on the right, one below the other.
    bars = {part: sum(len(group) + 1 for group in groups[part]) for part in parts}
    right = parts[1:] or parts
    height = max(bars[parts[0]], sum(bars[part] for part in right))
    figure = pyplot.figure(figsize=(12, height * _BAR + 0.9 * len(right)), layout="constrained")
    axes = figure.subplot_mosaic(
        [list(dict.fromkeys((parts[0], part))) for part in right],
        height_ratios=[bars[part] for part in right],
        sharex=True,
    )
    for part, axis in axes.items():
        _panel(axis, groups[part])
        axis.set_title(_PARTS[part], loc="left", fontweight="bold")
    figure.supxlabel(
        "deliveries (recipients) per second, on a logarithmic axis: median, least and most\n"
        "10 sessions on kept connections, 1 recipient, 4 KiB, where a group does not say otherwise",
        fontsize=9,
    )
    figure.savefig(path, dpi=100, metadata={"Date": None} if path.suffix == ".svg" else None)
    pyplot.close(figure)


def _panel(axis: Any, groups: list[list[dict[str, Any]]]) -> None:
    position, middles = 0, []
    for group in groups:
        middles.append(position + (len(group) - 1) / 2)
        for result in group:
            rates, name = result["accepted"], result["peer"]
            median = statistics.median(rates)
            spread = [[median - min(rates)], [max(rates) - median]]
            axis.barh(position, median, 0.85, color=_COLOURS[name], xerr=spread, ecolor="#444444")
            axis.text(max(rates) * 1.08, position, f"{name} {median:,.0f}", va="center", fontsize=8)
            position += 1
        position += 1
    axis.set_yticks(middles, [group[0]["load"] for group in groups])
    axis.set_ylim(position - 1.4, -0.8)
    axis.set_xscale("log")
    axis.margins(x=0.3)  # room for the names
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axis.xaxis.set_minor_formatter(lambda value, _: "")
    axis.tick_params(axis="y", length=0)
    axis.tick_params(axis="x", labelbottom=True)
    axis.grid(axis="x", alpha=0.3)
    axis.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
