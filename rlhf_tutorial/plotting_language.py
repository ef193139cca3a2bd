"""Figures about tokens: how a text is cut, what each token cost, which ones are learnt.

They are the pictures of the notebooks on pretraining and fine-tuning. Style, colours and paper
are those of `plotting_parts.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rlhf_tutorial.plotting_parts import (
    DASHES,
    INK,
    LINE_COLOURS,
    MODEL_COLOURS,
    PAPER,
    bar_places,
    label,
    legend_above,
    new_figure,
    running_mean,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Fills of token boxes, pale enough for dark words on top.
NOT_LEARNT, LEARNT, REMARK = "#E4E4DF", "#A9D3EA", "#F5C9A6"
LINE_WIDTH = 84  # characters a line of token boxes
CHARACTER = 0.088  # inches that a character of the boxes takes
PROBES = {
    "probe/copied_things": "copies a thing from the text",
    "probe/copied_places": "copies a place from the text",
    "probe/facts": "knows a fact of the village",
}


def visible(token: str) -> str:
    """A token with its spaces and line ends made visible: `·` for a space, `↵` for a new line."""
    return token.replace(" ", "·").replace("\n", "↵")


def lines_of_boxes(widths: Sequence[int], line_width: int = LINE_WIDTH) -> list[list[int]]:
    """Indexes of boxes in lines, filled from the left; a box wider than a line has its own."""
    lines: list[list[int]] = [[]]
    used = 0
    for index, width in enumerate(widths):
        if lines[-1] and used + width > line_width:
            lines.append([])
            used = 0
        lines[-1].append(index)
        used += width
    return lines


def token_boxes(
    tokens: Sequence[str],
    fills: Sequence[str] | None = None,
    below: Sequence[str] | None = None,
    legend: Mapping[str, str] | None = None,
) -> Figure:
    """Tokens as boxes in reading order, each with a fill and a small text below.

    `legend` maps a meaning to the fill that stands for it. Raises ValueError for no tokens, or
    where fills or texts are not as many as tokens.
    """
    from matplotlib.figure import Figure

    if not tokens:
        raise ValueError("no tokens to draw: give at least one")
    fills = fills or [NOT_LEARNT] * len(tokens)
    below = below or [""] * len(tokens)
    if not len(tokens) == len(fills) == len(below):
        raise ValueError(
            f"{len(tokens)} tokens, {len(fills)} fills, {len(below)} texts below: give one of each"
        )
    shown = [visible(token) for token in tokens]
    widths = [
        max(len(word), round(0.8 * len(text))) + 2 for word, text in zip(shown, below, strict=True)
    ]
    lines = lines_of_boxes(widths)
    height = 0.62 if any(below) else 0.42
    total = height * len(lines) + 0.12 + (0.34 if legend else 0)
    figure = Figure(figsize=(LINE_WIDTH * CHARACTER + 0.2, total), facecolor=PAPER)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(-1.1, LINE_WIDTH + 1.1)
    axes.set_ylim(-total, 0)
    axes.axis("off")
    top = -0.1
    if legend:
        _legend(axes, legend, top)
        top -= 0.34
    for row, line in enumerate(lines):
        left = 0.0
        for index in line:
            place = (left + widths[index] / 2, top - height * row - 0.16)
            _box(axes, place, widths[index] - 0.35, fills[index])
            _write(axes, place, shown[index], 8.5)
            _write(axes, (place[0], place[1] - 0.26), below[index], 6.8)
            left += widths[index]
    return figure


def _box(axes: Axes, middle: tuple[float, float], width: float, fill: str) -> None:
    from matplotlib.patches import Rectangle

    corner = (middle[0] - width / 2, middle[1] - 0.13)
    axes.add_patch(Rectangle(corner, width, 0.26, facecolor=fill, edgecolor=INK, linewidth=0.6))


def _write(axes: Axes, place: tuple[float, float], text: str, size: float) -> None:
    options: dict[str, Any] = {"ha": "center", "va": "center", "family": "monospace"}
    axes.text(*place, text, color=INK, fontsize=size, **options, parse_math=False)


def _legend(axes: Axes, legend: Mapping[str, str], top: float) -> None:
    left = 0.0
    for meaning, fill in legend.items():
        _box(axes, (left + 1.2, top - 0.13), 2.0, fill)
        axes.text(left + 2.8, top - 0.13, meaning, color=INK, fontsize=8.5, va="center")
        left += 5.5 + 0.95 * len(meaning)


def surprise(tokens: Sequence[str], costs: Mapping[str, Sequence[float]]) -> Figure:
    """Bits that each token cost, one bar for each of one or two guessers, tokens along the axis."""
    figure, all_axes = new_figure(width=max(6.0, 0.34 * len(tokens)), height=3.2)
    axes = all_axes[0][0]
    width, offsets = bar_places(len(costs))
    colours = (LINE_COLOURS[1], MODEL_COLOURS["base"])[-len(costs) :]
    for number, (name, bits) in enumerate(costs.items()):
        places = [i + offsets[number] for i in range(len(tokens))]
        axes.bar(places, bits, width * 0.95, color=colours[number], label=name)
    axes.set_xticks(range(len(tokens)), [visible(token) for token in tokens], rotation=90)
    axes.tick_params(axis="x", labelfontfamily="monospace")
    axes.grid(axis="x", visible=False)
    axes.set_xlim(-0.7, len(tokens) - 0.3)
    label(axes, y="cost of the token (bits)", legend=len(costs) > 1)
    return figure


def bits_on_one_axis(bits: Mapping[str, float], colours: Mapping[str, str]) -> Figure:
    """Guessers on one axis of bits a token, the worst on top; fewer is better."""
    figure, all_axes = new_figure(width=7.5, height=0.9 + 0.42 * len(bits))
    axes = all_axes[0][0]
    for place, (name, value) in enumerate(bits.items()):
        axes.barh(place, value, 0.62, color=colours.get(name, INK))
        choices = 2**value
        words = f" {value:.2f} bits: as hard as 1 of {choices:,.{0 if choices >= 10 else 1}f}"
        axes.text(value, place, words, va="center", color=INK, fontsize=9)
    axes.set_yticks(range(len(bits)), list(bits))
    axes.set_ylim(len(bits) - 0.5, -0.5)
    axes.set_xlim(0, 1.45 * max(bits.values()))
    axes.grid(axis="y", visible=False)
    label(axes, x="bits a token on fresh documents (fewer is better)")
    return figure


def live_loss(
    losses: Sequence[float], steps: int, sample: str = "", unit: str = "bits a token"
) -> Figure:
    """The loss so far over a training of `steps` updates, and below what the model says by now."""
    figure, all_axes = new_figure(width=7.5, height=3.3)
    axes = all_axes[0][0]
    numbers = range(1, len(losses) + 1)
    axes.plot(numbers, losses, color=LINE_COLOURS[1], linewidth=0.8, alpha=0.35)
    axes.plot(numbers, running_mean(losses, 8), color=LINE_COLOURS[1], linewidth=1.8)
    axes.set_xlim(0, steps)
    axes.set_ylim(bottom=0)
    label(axes, x="step", y=f"training loss ({unit})")
    if sample:
        short = sample.replace("\n", " ↵ ")
        short = short if len(short) <= 95 else short[:95] + " …"
        text = f"step {len(losses)}:  {short}"
        axes.set_title(text, color=INK, fontsize=8.5, loc="left", family="monospace", wrap=True)
    return figure


def what_appears_when(history: Sequence[Mapping[str, Any]], rhymes_end: float) -> Figure:
    """A pretraining's loss above, its probes below; `rhymes_end` is the step of the change.

    Raises ValueError for a history without probes.
    """
    if not any(key in row for row in history for key in PROBES):
        raise ValueError(f"a history without probes: expected rows with one of {', '.join(PROBES)}")
    figure, (upper, lower) = new_figure(2, 1, width=7.8, height=5.4)
    # No running mean: it would blunt the jump.
    upper[0].plot(
        [row["step"] for row in history],
        [row["loss"] / math.log(2) for row in history],
        color=INK,
        linewidth=1,
    )
    for number, (key, meaning) in enumerate(PROBES.items(), start=1):
        rows = [row for row in history if key in row]
        lower[0].plot(
            [row["step"] for row in rows],
            [row[key] for row in rows],
            color=LINE_COLOURS[number],
            linestyle=DASHES[number - 1],
            marker="o",
            label=meaning,
        )
    for axes in (upper[0], lower[0]):
        axes.axvline(rhymes_end, color=INK, linestyle=":", linewidth=1.2)
        axes.set_xlim(0, history[-1]["step"] * 1.02)
    upper[0].set_ylim(bottom=0)
    upper[0].text(
        rhymes_end, upper[0].get_ylim()[1] * 0.93, " the rhymes end here", color=INK, fontsize=8.5
    )
    lower[0].set_ylim(-0.03, 1.05)
    label(upper[0], x="step", y="training loss (bits a token)")
    label(lower[0], x="step", y="right guesses (share, 0 to 1)", legend=True)
    return figure


def side_by_side(
    rows: Mapping[str, Mapping[str, float]], colours: Mapping[str, str], y: str
) -> Figure:
    """Bars for each quantity, one for each row, such as volunteers and models by axis."""
    quantities = list(next(iter(rows.values())))
    figure, all_axes = new_figure(width=8.5, height=3.5)
    axes = all_axes[0][0]
    width, offsets = bar_places(len(rows))
    for (name, values), offset in zip(rows.items(), offsets, strict=True):
        places = [i + offset for i in range(len(quantities))]
        heights = [values[quantity] for quantity in quantities]
        bars = axes.bar(places, heights, width * 0.92, color=colours[name], label=name)
        axes.bar_label(bars, fmt="%.2f", fontsize=7, color=INK, padding=1)
    axes.set_xticks(range(len(quantities)), quantities)
    axes.grid(axis="x", visible=False)
    axes.set_ylim(0, 1.12)
    label(axes, y=y)
    legend_above(figure, len(rows))
    return figure
