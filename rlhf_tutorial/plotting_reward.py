"""The figures of notebook 04: from a coin toss to what a reward model looks at."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rlhf_tutorial.plotting_parts import (
    DASHES,
    INK,
    LINE_COLOURS,
    MODEL_COLOURS,
    PAPER,
    Interval,
    curve,
    label,
    new_figure,
    running_mean,
    whiskers,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SMOOTHING = 9  # steps of the running mean over a training loss


def coin(differences: Sequence[float], likelihoods: Mapping[str, Sequence[float]]) -> Figure:
    """How probable some observed choices are for each difference of scores, a line a count.

    `likelihoods` maps a label to one value a difference. The best difference is marked.
    """
    figure, all_axes = new_figure(width=6.4, height=3.2)
    axes = all_axes[0][0]
    for index, (name, values) in enumerate(likelihoods.items()):
        scaled = [value / max(values) for value in values]
        best = max(range(len(values)), key=values.__getitem__)
        style = {"color": LINE_COLOURS[index], "linestyle": DASHES[index]}
        axes.plot(differences, scaled, linewidth=1.8, label=name, **style)
        axes.plot(differences[best], 1, "o", color=LINE_COLOURS[index])
    label(
        axes,
        x="difference of the two scores (log-odds)",
        y="likelihood (share of its best)",
        legend=True,
    )
    return figure


def loss_and_pull(
    differences: Sequence[float], chances: Sequence[float], losses: Sequence[float]
) -> Figure:
    """Two panels over the difference of scores: the chance of the choice, and its loss."""
    figure, all_axes = new_figure(1, 2, width=8.0, height=3.0)
    left, right = all_axes[0]
    left.plot(differences, chances, color=LINE_COLOURS[1], linewidth=1.8)
    left.axhline(0.5, color=INK, linestyle="--", linewidth=1)
    label(left, x="winner's score less loser's", y="chance of this choice (0 to 1)")
    right.plot(differences, losses, color=LINE_COLOURS[1], linewidth=1.8, label="loss")
    pulls = [1 - chance for chance in chances]
    right.plot(differences, pulls, "--", color=LINE_COLOURS[0], linewidth=1.8, label="pull (slope)")
    label(right, x="winner's score less loser's", y="loss (nats), pull (per unit)", legend=True)
    return figure


def fitted_scores(true: Sequence[float], fits: Mapping[str, Sequence[float]]) -> Figure:
    """Scores that were fitted against the true ones; on the line they are equal."""
    figure, all_axes = new_figure(width=4.8, height=4.0)
    axes = all_axes[0][0]
    ends = [min(true) - 0.3, max(true) + 0.3]
    axes.plot(ends, ends, "--", color=INK, linewidth=1, label="equal")
    for index, (name, values) in enumerate(fits.items()):
        marker = "os^D"[index]
        axes.plot(
            true, values, marker, color=LINE_COLOURS[index + 1], label=name, fillstyle="none", ms=8
        )
    label(axes, x="true score (log-odds)", y="fitted score (log-odds)", legend=True)
    return figure


def training(losses: Sequence[float], looks: Sequence[Mapping[str, float]]) -> Figure:
    """Loss of each step on the left; what each look found on the right.

    `looks` are rows with step, held_out and gold: agreement with people's and with gold's order.
    """
    figure, all_axes = new_figure(1, 2, width=8.4, height=3.1)
    left, right = all_axes[0]
    steps = range(1, len(losses) + 1)
    left.plot(steps, losses, color=LINE_COLOURS[3], alpha=0.3, linewidth=0.8)
    smooth = running_mean(losses, SMOOTHING)
    left.plot(steps, smooth, color=LINE_COLOURS[3], linewidth=1.8)
    left.axhline(math.log(2), color=INK, linestyle="--", linewidth=1)
    left.set_ylim(0, 1.2)
    label(left, x="step", y="loss (nats a pair)", title="black dashes: a coin, ln 2")
    for index, key in enumerate(("held_out", "gold")):
        curve(right, looks, key, index)
    right.axhline(0.5, color=INK, linestyle="--", linewidth=1)
    right.set_ylim(0.2, 1)  # an untrained head may order worse than a coin
    words = {"x": "step", "y": "pairs ordered alike (share)", "title": "black dashes: a coin"}
    label(right, **words, legend=True)
    return figure


def accuracy_by_gap(gaps: Sequence[str], rows: Sequence[Interval]) -> Figure:
    """Agreement with gold for pairs that lie close and pairs that lie far apart."""
    figure, all_axes = new_figure(width=5.4, height=3.0)
    axes = all_axes[0][0]
    for place, (middle, low, high) in enumerate(rows):
        reach = whiskers(middle, low, high)
        axes.errorbar(place, middle, yerr=reach, fmt="o", color=LINE_COLOURS[3], capsize=4)
    axes.axhline(0.5, color=INK, linestyle="--", linewidth=1)
    axes.set_xticks(range(len(gaps)), gaps)
    axes.set_xlim(-0.5, len(gaps) - 0.5)
    axes.set_ylim(0.4, 1.02)
    axes.grid(axis="x", visible=False)
    label(axes, x="how far the two replies lie apart in gold (0 to 1)", y="ordered as gold (share)")
    return figure


def learning_curve(
    counts: Sequence[int], agreements: Mapping[int, Sequence[float]], apart: Sequence[int] = ()
) -> Figure:
    """Agreement with gold over the number of rankings; `agreements` holds the runs of a count.

    A line joins the means of the counts, but for those `apart`, which were made in another way.
    """
    figure, all_axes = new_figure(width=5.8, height=3.3)
    axes = all_axes[0][0]
    joined = [count for count in counts if count not in apart]
    means = [sum(agreements[count]) / len(agreements[count]) for count in joined]
    axes.plot(joined, means, color=LINE_COLOURS[3], linewidth=1.8)
    for count in counts:
        runs = agreements[count]
        axes.scatter([count] * len(runs), runs, 30, color=LINE_COLOURS[3], zorder=3)
    axes.axhline(0.5, color=INK, linestyle="--", linewidth=1)
    axes.set_xscale("log")
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.minorticks_off()
    axes.set_ylim(0.45, 0.9)
    label(axes, x="rankings read (log scale)", y="ordered as gold (share)")
    return figure


def edits(rows: Mapping[str, tuple[Interval, float]]) -> Figure:
    """What one change does to the reward (middle, 10th and 90th percentile) and to gold.

    `rows` maps the change to ((mean, low, high) of the reward's change, mean change of gold).
    """
    figure, all_axes = new_figure(1, 2, width=9.0, height=0.9 + 0.42 * len(rows))
    left, right = all_axes[0]
    for place, ((middle, low, high), gold) in enumerate(rows.values()):
        against = middle * gold < 0 and abs(gold) > 0.02
        colour = LINE_COLOURS[1] if against else LINE_COLOURS[3]
        left.plot([low, high], [place, place], color=colour, linewidth=1.4)
        left.plot(middle, place, "o", color=colour)
        right.barh(place, gold, 0.55, color=LINE_COLOURS[0])
    for axes in (left, right):
        axes.axvline(0, color=INK, linewidth=1)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.grid(axis="y", visible=False)
    left.set_yticks(range(len(rows)), list(rows))
    right.set_yticks(range(len(rows)), [""] * len(rows))
    label(left, x="change of the reward (log-odds)", title="reward model")
    label(right, x="change of the gold score (0 to 1)", title="gold judge")
    return figure


def score_cards(prompt: str, rows: Sequence[tuple[str, str, float]]) -> Figure:
    """Replies to one prompt with their scores as bars: rows of (what changed, reply, score)."""
    import textwrap

    figure, all_axes = new_figure(width=9.0, height=0.8 + 0.5 * len(rows))
    axes = all_axes[0][0]
    scores = [score for _, _, score in rows]
    colours = [MODEL_COLOURS["sft"] if score >= 0 else LINE_COLOURS[1] for score in scores]
    bars = axes.barh(range(len(rows)), scores, 0.6, color=colours)
    axes.bar_label(bars, fmt="%+.2f", fontsize=8, color=INK, padding=3)
    words = [textwrap.fill(f"{name}: {reply}", 62).replace("$", r"\$") for name, reply, _ in rows]
    axes.set_yticks(range(len(rows)), words)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    reach = max(1.0, *(abs(score) for score in scores)) * 1.3
    axes.set_xlim(-reach, reach)
    axes.axvline(0, color=INK, linewidth=1)
    axes.grid(axis="y", visible=False)
    axes.set_facecolor(PAPER)
    label(axes, x="reward (log-odds; 0 is the mean of all ranked replies)", title=prompt)
    return figure


def teacher_and_student(
    guess: Sequence[float], panels: Mapping[str, Sequence[float]], marked: Sequence[bool], name: str
) -> Figure:
    """A panel for each of `panels`: scores over the guess; the `marked` replies stand out.

    On the dashed line a score is the guess itself.
    """
    figure, all_axes = new_figure(1, len(panels), width=4.2 * len(panels), height=3.8)
    ends = [min(guess), max(guess)]
    groups = ((False, "other replies", LINE_COLOURS[2], "."), (True, name, LINE_COLOURS[1], "x"))
    for axes, (title, scores) in zip(all_axes[0], panels.items(), strict=True):
        axes.plot(ends, ends, "--", color=INK, linewidth=1)
        for chosen, group, colour, marker in groups:
            points = [(x, y) for x, y, m in zip(guess, scores, marked, strict=True) if m == chosen]
            if points:
                axes.plot(*zip(*points, strict=True), marker, color=colour, label=group, ms=4)
        label(axes, x="the guess (log-odds)", y="score (log-odds)", title=title, legend=True)
    return figure
