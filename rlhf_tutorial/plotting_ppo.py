"""Figures of the notebook on PPO: from three words on a table to a run of the real model.

Each function takes plain numbers or tensors and returns a matplotlib `Figure`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rlhf_tutorial.plotting_parts import (
    DASHES,
    GRID,
    INK,
    LINE_COLOURS,
    MODEL_COLOURS,
    PAPER,
    Row,
    bar_places,
    curve,
    is_number,
    label,
    new_figure,
    png_bytes,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PROXY_COLOUR, GOLD_COLOUR = LINE_COLOURS[3], LINE_COLOURS[0]
TRAINING_CURVES = (  # key of a PPO history, label of its panel
    ("objective/scores", "score (standard deviations)"),
    ("objective/kl", "KL from SFT (nats a reply)"),
    ("objective/entropy", "entropy (nats a reply)"),
    ("policy/clipfrac_avg", "clip fraction (share of tokens)"),
    ("loss/value_avg", "value loss (half squared error)"),
    ("gold", "gold score (0 to 1)"),
)


def words_over_time(shares, words: Sequence[str]) -> Figure:
    """How likely each word is after each update; `shares` is `(updates, words)`."""
    figure, all_axes = new_figure(width=6, height=3.2)
    axes = all_axes[0][0]
    for index, word in enumerate(words):
        dash, colour = DASHES[index], LINE_COLOURS[index]
        axes.plot([row[index] for row in shares], dash, color=colour, label=f'"{word}"')
    axes.set_ylim(-0.03, 1.03)
    label(axes, x="update", y="probability of the word", legend=True)
    return figure


def many_runs(panels: Mapping[str, Any], *, x: str, y: str, lowest: float, highest: float):
    """Panels side by side, one thin line a run; each panel's curves are `(updates, runs)`."""
    figure, all_axes = new_figure(1, len(panels), width=3.2 * len(panels), height=3.0)
    for index, (title, curves) in enumerate(panels.items()):
        axes = all_axes[0][index]
        axes.plot(
            range(1, len(curves) + 1), curves, color=LINE_COLOURS[1], linewidth=0.9, alpha=0.8
        )
        axes.set_ylim(lowest, highest)
        label(axes, x=x, y=y if index == 0 else "", title=title)
    return figure


def prefix_tree(
    words: Sequence[str],
    longest: int,
    *,
    scores: Mapping[str, float] | None = None,
    values: Sequence[float] | None = None,
) -> Figure:
    """All replies of up to `longest` words, the last of which ends a reply, as a tree.

    A circle is a prefix with its words and its number: 0 is the empty one, and in prefix `s` saying
    the word at index `w` gives `len(words) * s + w + 1`. A square is a finished reply, with the
    word that finished it. `scores` (of each reply, its words joined by blanks) stand at the
    squares and `values` (of each prefix) below the circles.
    """
    figure, all_axes = new_figure(width=7.6, height=1)
    axes = all_axes[0][0]
    rows = [0]  # where the next finished reply goes, from the top
    text = {"fontsize": 7.5, "color": INK}
    near = {"textcoords": "offset points", "ha": "center", **text}

    def grow(number: int, said: tuple[str, ...]) -> float:
        """Draw what follows from a prefix, then the prefix; returns how far down it stands."""
        depth = len(said)
        if said and (said[-1] == words[-1] or depth == longest):
            place, rows[0] = rows[0], rows[0] + 1
            score = f"   {scores[' '.join(said)]:.1f}" if scores else ""
            axes.plot(depth, place, "s", color=LINE_COLOURS[1], markersize=4)
            axes.text(depth + 0.07, place, f"“{said[-1]}”{score}", va="center", **text)
            return place
        children = [(len(words) * number + w + 1, (*said, word)) for w, word in enumerate(words)]
        places = [grow(*child) for child in children]
        middle = (places[0] + places[-1]) / 2
        axes.plot([depth + 0.5] * 2, [places[0], places[-1]], color=INK, linewidth=0.8)
        for start, place in ((depth, middle), *((depth + 0.5, place) for place in places)):
            end = start + 0.5
            axes.plot([start, end], [place, place], color=INK, linewidth=0.8, zorder=0)
        axes.plot(depth, middle, "o", color=PAPER, markeredgecolor=INK, markersize=14)
        axes.text(depth, middle, str(number), ha="center", va="center", **text)
        axes.annotate(" ".join(said) or "(nothing)", (depth, middle), (0, 9), **near)
        if values is not None:
            axes.annotate(f"V {values[number]:.2f}", (depth, middle), (0, -9), va="top", **near)
        return middle

    grow(0, ())
    figure.set_figheight(0.16 * rows[0] + 0.6)
    axes.set_xlim(-0.4, longest + 0.6)
    axes.set_ylim(rows[0] - 0.2, -0.8)
    axes.set_xticks(range(longest + 1))
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.spines["left"].set_visible(False)
    label(axes, x="words said so far")
    return figure


def bars_of_noise(names: Sequence[str], noise: Sequence[float], signal: float) -> Figure:
    """Noise of one reply's gradient for each estimate, against the gradient's own length."""
    figure, all_axes = new_figure(width=7, height=0.9 + 0.45 * len(names))
    axes = all_axes[0][0]
    bars = axes.barh(names, noise, color=LINE_COLOURS[2], height=0.6)
    axes.bar_label(bars, fmt="%.2f", fontsize=8, color=INK, padding=16)
    axes.axvline(signal, color=INK, linestyle="--", linewidth=1.2, label="length of the gradient")
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    label(axes, x="noise of the gradient from one reply (standard deviation)", legend=True)
    return figure


def error_over_lambda(lams: Sequence[float], bias: Sequence[float], noise: Sequence[float]):
    """Squared error of a batch's gradient over GAE's lambda, split into bias and noise."""
    figure, all_axes = new_figure(width=6, height=3.4)
    axes = all_axes[0][0]
    total = [b + n for b, n in zip(bias, noise, strict=True)]
    axes.plot(lams, total, color=LINE_COLOURS[0], label="both together")
    axes.plot(lams, noise, "--", color=LINE_COLOURS[1], label="noise")
    axes.plot(lams, bias, "-.", color=LINE_COLOURS[2], label="bias, squared")
    axes.set_ylim(bottom=0)
    label(axes, x="λ", y="squared error of the gradient", legend=True)
    return figure


def clip_shape(ratios: Sequence[float], gains: Mapping[str, Sequence[float]], clip: float):
    """What one token adds to PPO's objective over its ratio, a panel for each advantage."""
    figure, all_axes = new_figure(1, len(gains), width=3.6 * len(gains), height=3.0)
    for index, (title, values) in enumerate(gains.items()):
        axes = all_axes[0][index]
        axes.axvspan(1 - clip, 1 + clip, color=GRID, alpha=0.6, linewidth=0)
        axes.plot(ratios, values, color=LINE_COLOURS[1])
        axes.plot([1], [values[list(ratios).index(1.0)]], "o", color=INK)
        label(axes, x="ratio π / π_old", y="" if index else "gain (units of A)", title=title)
    return figure


def over_optimisation(
    kls: Sequence[float],
    proxy: Sequence[float],
    gold: Sequence[float],
    dots: Sequence[tuple[float, float, float]] = (),
) -> Figure:
    """Score and gold along the exact optima; `dots` are (KL, score, gold) that PPO reached."""
    figure, all_axes = new_figure(1, 2, width=8, height=3.2)
    parts = ((proxy, "score (what is optimised)"), (gold, "gold (what is wanted)"))
    for index, (values, name) in enumerate(parts):
        axes, colour = all_axes[0][index], (PROXY_COLOUR, GOLD_COLOUR)[index]
        axes.plot(kls, values, color=colour, label="exact optimum")
        if dots:
            places, heights = [dot[0] for dot in dots], [dot[index + 1] for dot in dots]
            axes.plot(places, heights, "o", color=MODEL_COLOURS["rlhf"], label="reached by PPO")
        label(axes, x="KL from the reference (nats a reply)", y=name, legend=True)
    return figure


def reply_shares(names: Sequence[str], shares: Mapping[str, Sequence[float]]) -> Figure:
    """Probability of each reply under several policies, as bars side by side."""
    figure, all_axes = new_figure(width=9, height=4.0)
    axes = all_axes[0][0]
    width, offsets = bar_places(len(shares))
    colours = (MODEL_COLOURS["sft"], LINE_COLOURS[1], MODEL_COLOURS["rlhf"])
    for index, (policy, values) in enumerate(shares.items()):
        places = [place + offsets[index] for place in range(len(names))]
        axes.bar(places, values, width * 0.95, color=colours[index], label=policy)
    axes.set_xticks(range(len(names)), names, rotation=35, ha="right")
    axes.grid(axis="x", visible=False)
    label(axes, y="probability of the reply", legend=True)
    return figure


def value_error(curves: Mapping[str, Sequence[float]]) -> Figure:
    """Distance from the exact optimum over batches, one line for each way to get the values."""
    figure, all_axes = new_figure(width=6, height=3.2)
    axes = all_axes[0][0]
    for index, (name, values) in enumerate(curves.items()):
        axes.plot(values, DASHES[index], color=LINE_COLOURS[index], label=name)
    axes.set_yscale("log")
    label(axes, x="batch", y="total variation from π*", legend=True)
    return figure


def training_panel(histories: Mapping[str, Sequence[Row]], steps: int | None = None) -> Figure:
    """Score, KL, entropy, clip fraction, value loss and gold over PPO steps, a line a run.

    Raises:
        ValueError: no run has a row.
    """
    keys = [
        (key, name)
        for key, name in TRAINING_CURVES
        if any(is_number(row, key) for history in histories.values() for row in history)
    ]
    if not keys:
        raise ValueError("no PPO history to draw: expected rows with objective/scores")
    columns = min(3, len(keys))
    rows = -(-len(keys) // columns)
    figure, all_axes = new_figure(rows, columns, width=9.0, height=2.3 * rows)
    colours = (MODEL_COLOURS["rlhf"], LINE_COLOURS[1], LINE_COLOURS[3], LINE_COLOURS[2])
    for axes, (key, name) in zip(all_axes.flat, keys, strict=False):
        for index, (run, history) in enumerate(histories.items()):
            if curve(axes, history, key, index, colour=colours[index % len(colours)]):
                axes.lines[-1].set_label(run)
        if steps:
            axes.set_xlim(0.5, steps + 0.5)
        label(axes, x="PPO step", y=name)
        axes.locator_params(axis="x", integer=True)
    for axes in list(all_axes.flat)[len(keys) :]:
        axes.set_visible(False)
    if len(histories) > 1:
        lines = all_axes.flat[0].get_legend_handles_labels()
        figure.legend(*lines, loc="outside upper center", ncols=len(histories), frameon=False)
    return figure


def who_samples(steps: Sequence[int], now: Sequence[float], start: Sequence[float]) -> Figure:
    """How likely each step's replies were to the policy of that step and to the first policy."""
    figure, all_axes = new_figure(width=6, height=3.2)
    axes = all_axes[0][0]
    axes.plot(steps, now, "o-", color=MODEL_COLOURS["rlhf"], label="policy of that step")
    axes.plot(steps, start, "s--", color=MODEL_COLOURS["sft"], label="policy before the first step")
    axes.locator_params(axis="x", integer=True)
    label(axes, x="PPO step", y="log-probability (nats a reply)", legend=True)
    return figure


def word_by_word(words: Sequence[str], parts: Mapping[str, Sequence[float]]) -> Figure:
    """One reply from left to right; each panel shows one quantity a token as bars."""
    width = min(9.5, 3.0 + 0.8 * len(words))
    figure, all_axes = new_figure(len(parts), 1, width=width, height=1.35 * len(parts) + 0.7)
    for index, (name, values) in enumerate(parts.items()):
        axes = all_axes[index][0]
        axes.bar(range(len(words)), values, 0.7, color=LINE_COLOURS[1 + index])
        axes.axhline(0, color=INK, linewidth=0.8)
        axes.grid(axis="x", visible=False)
        shown = words if index == len(parts) - 1 else [""] * len(words)
        axes.set_xticks(range(len(words)), shown, rotation=40, ha="right")
        label(axes, y=name)
    return figure


def png(figure: Figure) -> bytes:
    """A figure as a small PNG, for places that are redrawn while something trains."""
    return png_bytes(figure, dpi=90)
