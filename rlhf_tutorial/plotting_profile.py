"""One figure of what your rankings say about you: weights, agreement, seconds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rlhf_tutorial.plotting_parts import (
    INK,
    LINE_COLOURS,
    MODEL_COLOURS,
    label,
    new_figure,
    running_mean,
    whiskers,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from rlhf_tutorial.course_profile import ReaderProfile
    from rlhf_tutorial.course_profile_words import Agreement

NAMES = {"position": "top of the screen", "length": "30 words more"}
TICKS = (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999)  # chances on the axis of log odds
EDGE = math.log(0.9998 / 0.0002)  # log odds at which intervals leave the picture
OWN_COLOUR, OTHER_COLOUR = MODEL_COLOURS["sft"], LINE_COLOURS[0]


def profile_figure(reader: ReaderProfile) -> Figure:
    """Three panels: what moves you, who agrees with you, how long you take."""
    figure, all_axes = new_figure(1, 3, width=12.0, height=3.9)
    _weights(all_axes[0][0], reader)
    _agreement(all_axes[0][1], reader)
    _seconds(all_axes[0][2], reader.seconds)
    return figure


def _weights(axes: Axes, reader: ReaderProfile) -> None:
    """Each weight with its interval as log odds, labelled as chances; the judge's beside it."""
    weights = list(reader.weights.weights.values())
    bottom = len(weights) - 0.4  # below it stands the legend
    axes.plot([0, 0], [-0.6, bottom], color=INK, linestyle="--", linewidth=1)
    judge = reader.judge_weights()
    for place, weight in enumerate(weights):
        if math.isnan(weight.estimate):
            axes.text(0, place, " not tested", va="center", fontsize=8, color=INK)
            continue
        low, middle, high = (
            max(-EDGE, min(EDGE, v)) for v in (weight.low, weight.estimate, weight.high)
        )
        axes.plot([low, high], [place, place], color=OWN_COLOUR, linewidth=2)
        name = "you, with 95 % interval" if place == 0 else None
        axes.plot(middle, place, "o", color=OWN_COLOUR, label=name)
        for end, beyond, mark in ((low, weight.low < -EDGE, "<"), (high, weight.high > EDGE, ">")):
            if beyond:
                axes.plot(end, place, mark, color=OWN_COLOUR, markersize=5)
    axes.plot(
        [min(EDGE, value) for value in judge.values()],
        [place for place, weight in enumerate(weights) if weight.name in judge],
        "D",
        color=LINE_COLOURS[1],
        fillstyle="none",
        label="gold judge, scaled to you",
    )
    axes.set_yticks(range(len(weights)), [NAMES.get(w.name, w.name) for w in weights])
    axes.set_ylim(len(weights) + 0.9, -0.6)  # room for the legend
    axes.set_xlim(-EDGE * 1.03, EDGE * 1.03)
    odds = [math.log(tick / (1 - tick)) for tick in TICKS]
    axes.set_xticks(odds, [f"{tick:.1%}".replace(".0%", "%") for tick in TICKS], fontsize=7.5)
    label(axes, x="how often you take the reply that has it", title="What moves you")
    axes.legend(frameon=False, fontsize=7, labelcolor=INK, loc="lower left")


def _agreement(axes: Axes, reader: ReaderProfile) -> None:
    """Shares of pairs ordered alike, with intervals; the dashed line is a coin."""
    rows: list[Agreement] = [reader.oneself] if reader.oneself else []
    rows += sorted(reader.colleagues, key=lambda row: -row.share)
    for place, row in enumerate(rows):
        colour = OWN_COLOUR if row is reader.oneself else OTHER_COLOUR
        reach = whiskers(row.share, row.low, row.high)
        axes.errorbar(row.share, place, xerr=reach, fmt="o", color=colour, capsize=3)
    axes.axvline(0.5, color=INK, linestyle="--", linewidth=1)
    axes.set_yticks(range(len(rows)), [row.name for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0, 1.02)
    label(axes, x="share of pairs ordered alike (95 % interval)", title="Who agrees with you")


def _seconds(axes: Axes, seconds: list[float]) -> None:
    """Seconds of each ranking, and their running mean."""
    points = [(number, value) for number, value in enumerate(seconds, start=1) if value > 0]
    label(axes, x="ranking", y="seconds", title="How long you take")
    if not points:
        axes.text(0.5, 0.5, "not recorded", transform=axes.transAxes, ha="center", color=INK)
        return
    numbers, values = zip(*points, strict=True)
    axes.plot(numbers, values, "o", markersize=3, color=OTHER_COLOUR, alpha=0.5)
    window = max(3, len(values) // 5)
    axes.plot(
        numbers,
        running_mean(values, window),
        color=OWN_COLOUR,
        linewidth=1.8,
        label=f"mean of the last {window}",
    )
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=8, labelcolor=INK)
