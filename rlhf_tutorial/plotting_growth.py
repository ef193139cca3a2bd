"""Figures of how cost grows: measured points on axes of powers, with the slope that fits."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import geometric_mean
from typing import TYPE_CHECKING

from rlhf_tutorial.plotting_parts import INK, LINE_COLOURS, MODEL_COLOURS, label, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# A panel: what is varied, what is measured, both in numbers, and the slope of the logarithms.
Panel = tuple[str, str, Sequence[float], Sequence[float], float]


def growth(panels: Sequence[Panel], *, columns: int) -> Figure:
    """One column for each thing that is varied, one row for each that is measured.

    Raises:
        ValueError: there is no panel.
    """
    if not panels:
        raise ValueError("no curve to draw: measure at least two points")
    names = list(dict.fromkeys(x_name for x_name, *_ in panels))
    measures = list(dict.fromkeys(y_name for _, y_name, *_ in panels))
    rows = len(measures)
    figure, all_axes = new_figure(rows, columns, width=3.4 * columns, height=2.3 * rows)
    empty = set(all_axes.flat)
    for x_name, y_name, xs, ys, slope in panels:
        axes = all_axes[measures.index(y_name)][names.index(x_name)]
        empty.discard(axes)
        axes.plot(xs, ys, "o", color=MODEL_COLOURS["sft"], markersize=5)
        middle_x, middle_y = geometric_mean(xs), geometric_mean(ys)  # the fit goes through both
        through = [middle_y * (x / middle_x) ** slope for x in xs]
        axes.plot(
            xs, through, "--", color=LINE_COLOURS[1], linewidth=1.2, label=f"slope {slope:.2f}"
        )
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xticks(list(xs), [f"{x:.3g}" for x in xs])
        axes.set_ylim(min(ys) / 1.6, max(ys) * 1.6)
        label(axes, x=x_name, y=y_name, legend=True)
        axes.yaxis.set_minor_formatter(lambda value, place: "")
        axes.tick_params(colors=INK)
    for axes in empty:
        axes.set_visible(False)
    return figure
