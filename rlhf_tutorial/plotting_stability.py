"""A grid of runs of PPO as heat maps: how gold ended, and how far the policy went for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rlhf_tutorial.plotting_parts import INK, Row, label, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Cells = Sequence[Sequence[Row | None]]  # clips down, learning rates across


def grid(panels: Mapping[str, Cells], clips: Sequence[float], rates: Sequence[float]) -> Figure:
    """One heat map a panel. Colour is the rise of gold; numbers are gold at the end and KL.

    Raises:
        ValueError: no run in any cell.
    """
    rows = [row for cells in panels.values() for line in cells for row in line if row]
    if not rows:
        raise ValueError("no run to draw: make at least one")
    rises = [row["gold_last"] - row["gold_first"] for row in rows]
    largest = max(0.01, *(abs(rise) for rise in rises))
    figure, all_axes = new_figure(columns=len(panels), width=3.6 * len(panels), height=3.4)
    for axes, (title, cells) in zip(all_axes[0], panels.items(), strict=True):
        shown = [
            [row["gold_last"] - row["gold_first"] if row else float("nan") for row in line]
            for line in cells
        ]
        image = axes.imshow(shown, cmap="PuOr", vmin=-largest, vmax=largest, aspect="auto")
        for y, line in enumerate(cells):
            for x, row in enumerate(line):
                if row:
                    words = f"{row['gold_last']:.2f}\n{row['kl']:.1f} nats"
                    words += "\ncollapsed" if row["error"] else ""
                    dark = abs(shown[y][x]) > 0.5 * largest  # dark cells need light words
                    ink = "white" if dark else INK
                    axes.text(x, y, words, ha="center", va="center", fontsize=8, color=ink)
        axes.set_xticks(range(len(rates)), [f"{rate:g}" for rate in rates])
        axes.set_yticks(range(len(clips)), [f"{clip:g}" for clip in clips])
        axes.grid(visible=False)
        label(axes, x="learning rate", y="clip", title=title)
    bar = figure.colorbar(image, ax=list(all_axes[0]), shrink=0.9)
    bar.set_label("rise of gold", color=INK, fontsize=9)
    return figure
