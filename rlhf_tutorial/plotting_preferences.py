"""The figures of notebook 03: temperature, pairs, biases and agreement. Data in, `Figure` out."""

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
    label,
    new_figure,
    whiskers,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def next_words(words: Sequence[str], shares: Mapping[float, Sequence[float]]) -> Figure:
    """Probability of the likeliest next words at several temperatures, one panel each.

    `shares` maps a temperature to one probability a word.
    """
    figure, all_axes = new_figure(1, len(shares), width=3.2 * len(shares), height=2.9)
    for axes, (temperature, values) in zip(all_axes[0], shares.items(), strict=True):
        places = range(len(words))
        bars = axes.barh(places, values, color=MODEL_COLOURS["sft"])
        axes.bar_label(bars, fmt="%.2f", fontsize=8, color=INK, padding=2)
        axes.set_yticks(places, words)
        axes.set_ylim(len(words) - 0.4, -0.6)
        axes.set_xlim(0, 1.12)
        axes.grid(axis="y", visible=False)
        label(axes, x="probability of the first word", title=f"temperature {temperature:g}")
    return figure


def marks(rows: Mapping[str, Sequence[float]]) -> Figure:
    """What several people give the same replies as marks, joined reply by reply.

    `rows` maps a person to marks from 1 to 10, one a reply.
    """
    figure, all_axes = new_figure(width=6.0, height=2.6)
    axes = all_axes[0][0]
    names = list(rows)
    for column in range(len(rows[names[0]])):
        xs = [rows[name][column] for name in names]
        axes.plot(xs, range(len(names)), color=LINE_COLOURS[column], linestyle=DASHES[column % 4])
        axes.scatter(xs, range(len(names)), 45, color=LINE_COLOURS[column], zorder=3)
        axes.text(xs[0], -0.2, f"reply {column + 1}", ha="center", fontsize=8, color=INK)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.7, -0.5)
    axes.set_xlim(0.5, 10.5)
    label(axes, x="mark (1 to 10)")
    return figure


def pairs_per_ranking(sizes: Sequence[int], pairs: Sequence[int]) -> Figure:
    """Replies to read and pairs that come out, for rankings of several sizes."""
    figure, all_axes = new_figure(width=5.2, height=3.0)
    axes = all_axes[0][0]
    axes.plot(sizes, sizes, "--", color=LINE_COLOURS[0], label="replies to read")
    axes.plot(sizes, pairs, "-o", color=LINE_COLOURS[1], label="pairs that come out")
    for size, count in zip(sizes, pairs, strict=True):
        axes.annotate(
            str(count), (size, count), (0, 6), textcoords="offset points", ha="center", fontsize=8
        )
    axes.set_xticks(sizes)
    axes.set_ylim(0, max(pairs) * 1.15)
    label(axes, x="replies in a ranking (K)", y="count", legend=True)
    return figure


def agreement_matrix(names: Sequence[str], shares: Mapping[tuple[str, str], float]) -> Figure:
    """How often each two people order a pair of replies alike, as shaded squares with numbers.

    `shares` maps two names, in either order, to a share in [0, 1].
    """
    count = len(names)
    figure, all_axes = new_figure(width=1.2 + 0.72 * count, height=0.9 + 0.55 * count)
    axes = all_axes[0][0]
    axes.grid(visible=False)
    table = [[shares.get((a, b), shares.get((b, a), math.nan)) for b in names] for a in names]
    image = axes.imshow(table, cmap="YlOrBr", vmin=0.5, vmax=1.0, aspect="auto")
    for row in range(count):
        for column in range(count):
            value = table[row][column]
            if value == value:
                ink = PAPER if value > 0.8 else INK
                axes.text(column, row, f"{value:.2f}", ha="center", va="center", color=ink, size=8)
    short = [name.replace("colleague-", "col. ") for name in names]
    axes.set_xticks(range(count), short)
    axes.set_yticks(range(count), short)
    bar = figure.colorbar(image, ax=axes)
    bar.set_label("pairs ordered alike (share; 0.5 is chance)", color=INK, fontsize=8)
    bar.ax.tick_params(colors=INK, labelsize=8)
    return figure


def agreement_ladder(rows: Mapping[str, Interval]) -> Figure:
    """Agreements one below the other with their intervals; the dashed line is chance."""
    figure, all_axes = new_figure(width=6.8, height=1.0 + 0.42 * len(rows))
    axes = all_axes[0][0]
    for place, (middle, low, high) in enumerate(rows.values()):
        colour = LINE_COLOURS[1] if place else LINE_COLOURS[0]
        reach = whiskers(middle, low, high)
        axes.errorbar(middle, place, xerr=reach, fmt="o", color=colour, capsize=4)
        axes.annotate(
            f"{middle:.2f}",
            (middle, place),
            (0, 7),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            color=INK,
        )
    axes.axvline(0.5, color=INK, linestyle="--", linewidth=1)
    axes.set_yticks(range(len(rows)), list(rows))
    axes.set_ylim(len(rows) - 0.5, -0.7)
    axes.set_xlim(0.3, 1.02)
    axes.grid(axis="y", visible=False)
    label(axes, x="pairs ordered alike (share, 95 % interval)")
    return figure


def best_places(groups: Mapping[str, Sequence[Interval]]) -> Figure:
    """Share of rankings whose best reply stood at each place of the screen, a panel a group."""
    figure, all_axes = new_figure(1, len(groups), width=3.7 * len(groups), height=3.0)
    for axes, (name, rows) in zip(all_axes[0], groups.items(), strict=True):
        for place, (middle, low, high) in enumerate(rows):
            reach = whiskers(middle, low, high)
            axes.errorbar(place, middle, yerr=reach, fmt="o", color=LINE_COLOURS[1], capsize=4)
        axes.axhline(1 / len(rows), color=INK, linestyle="--", linewidth=1)
        axes.set_xticks(range(len(rows)), [str(place + 1) for place in range(len(rows))])
        axes.set_xlim(-0.5, len(rows) - 0.5)
        axes.set_ylim(0, 0.75)
        axes.grid(axis="x", visible=False)
        label(
            axes, x="place on the screen (1 = top)", y="best reply stood here (share)", title=name
        )
    return figure


def ranked_item(prompt: str, replies: Sequence[str], places: Sequence[int]) -> Figure:
    """One ranked item as cards: the best reply on top, with its place on the screen.

    `replies` stand best first; `places` are their positions on the screen, from 0.
    """
    import textwrap

    from matplotlib.patches import FancyBboxPatch

    figure, all_axes = new_figure(width=7.2, height=0.7 + 0.62 * len(replies))
    axes = all_axes[0][0]
    axes.axis("off")
    axes.set_xlim(0, 10)
    axes.set_ylim(-len(replies) - 0.05, 0.75)
    axes.text(0.1, 0.35, f"“{prompt}”", color=INK, fontsize=11, va="center", weight="bold")
    for rank, (reply, place) in enumerate(zip(replies, places, strict=True), start=1):
        y = -rank
        axes.add_patch(
            FancyBboxPatch(
                (0.12, y + 0.1),
                9.76,
                0.74,
                boxstyle="round,pad=0.02,rounding_size=0.1",
                facecolor="#FFFFFF",
                edgecolor=LINE_COLOURS[1] if rank == 1 else INK,
                linewidth=1.8 if rank == 1 else 0.8,
            )
        )
        axes.text(0.35, y + 0.47, str(rank), color=LINE_COLOURS[1], fontsize=14, va="center")
        text = textwrap.shorten(reply, 170, placeholder=" …").replace("$", r"\$")
        axes.text(0.9, y + 0.47, textwrap.fill(text, 86), color=INK, fontsize=8.5, va="center")
        axes.text(
            9.75, y + 0.47, f"was no. {place + 1}", color=INK, fontsize=7, va="center", ha="right"
        )
    return figure
