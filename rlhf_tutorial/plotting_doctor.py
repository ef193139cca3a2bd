"""Figures of runs that go wrong: each beside the healthy ones, and what the doctor says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rlhf_tutorial.plotting_parts import (
    INK,
    LINE_COLOURS,
    MODEL_COLOURS,
    label,
    new_figure,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 4
# A panel: its title, its quantity, the curves of spoilt runs, those of healthy ones.
Panel = tuple[str, str, Sequence[Sequence[float]], Sequence[Sequence[float]]]


def beside_healthy(panels: Sequence[Panel]) -> Figure:
    """One panel a fault: its tell-tale quantity over PPO steps, beside that of healthy runs.

    Raises:
        ValueError: there is no panel.
    """
    if not panels:
        raise ValueError("no fault to draw: run at least one")
    rows = -(-len(panels) // COLUMNS)
    figure, all_axes = new_figure(rows, COLUMNS, width=12, height=2.2 * rows + 0.4)
    for axes, (title, quantity, spoilt, healthy) in zip(all_axes.flat, panels, strict=False):
        for curves, dash, colour, name in (
            (healthy, "--", MODEL_COLOURS["base"], "healthy"),
            (spoilt, "-", LINE_COLOURS[1], "with the fault"),
        ):
            for index, values in enumerate(curves):
                shown = name if index == 0 else None
                steps = range(1, len(values) + 1)
                axes.plot(steps, values, dash, color=colour, linewidth=1.5, label=shown)
        label(axes, x="PPO step", y=quantity)
        axes.set_title(title, color=INK, fontsize=9, loc="left")
        axes.locator_params(axis="x", integer=True)
        axes.tick_params(labelsize=8)
    for axes in list(all_axes.flat)[len(panels) :]:
        axes.set_visible(False)
    lines = all_axes.flat[0].get_legend_handles_labels()
    figure.legend(*lines, loc="outside upper center", ncols=2, frameon=False, labelcolor=INK)
    return figure


def confusion(counts: Mapping[str, Mapping[str, int]], named: Sequence[str]) -> Figure:
    """How many runs of each fault (rows) were given which cause first (columns)."""
    rows = list(counts)
    shares = [
        [counts[row].get(name, 0) / max(1, sum(counts[row].values())) for name in named]
        for row in rows
    ]
    figure, all_axes = new_figure(width=9, height=0.27 * len(rows) + 2.2)
    axes = all_axes[0][0]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1.3, aspect="auto")
    for y, row in enumerate(rows):
        for x, name in enumerate(named):
            if counts[row].get(name):
                ink = "white" if shares[y][x] > 0.6 else INK  # dark cells need light numbers
                axes.text(x, y, counts[row][name], ha="center", va="center", fontsize=8, color=ink)
    axes.set_xticks(range(len(named)), named, rotation=40, ha="right")
    axes.set_yticks(range(len(rows)), rows)
    axes.grid(visible=False)
    label(axes, x="named first", y="what was wrong")
    return figure
