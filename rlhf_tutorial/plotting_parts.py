"""What all figures share: colours, paper, axes, curves, bars, whiskers, and a figure as a PNG.

One colour for each model, the same in all figures, from the palette of Okabe and Ito (2008), which
colour-blind readers tell apart; curves differ in their dashes too. Figures carry their own light
background, so that they read the same on a light and on a dark page. matplotlib is imported only
when a figure is made, and without pyplot: nothing global is changed.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MODEL_COLOURS = {
    "base": "#8C8C8C",
    "sft": "#0072B2",
    "best_ranked_sft": "#E69F00",
    "rlhf": "#009E73",
}
# Curves that are no model's own: the colours of the palette that no model has.
LINE_COLOURS = ("#333333", "#D55E00", "#56B4E9", "#CC79A7", "#A89B00")
DASHES = ("-", "--", "-.", ":")
INK, PAPER, GRID = "#333333", "#FAFAF7", "#D9D9D4"

Row = Mapping[str, Any]
Interval = tuple[float, float, float]  # middle, low end, high end


def new_figure(rows: int = 1, columns: int = 1, *, width: float, height: float) -> Any:
    """A figure of `width` x `height` inches and its axes as a 2-D array (rows, columns)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), facecolor=PAPER, layout="constrained")
    all_axes = figure.subplots(rows, columns, squeeze=False)
    for axes in all_axes.flat:
        axes.set_facecolor(PAPER)
        axes.grid(color=GRID, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.tick_params(colors=INK, labelsize=9)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(INK)
    return figure, all_axes


def label(axes: Axes, *, x: str = "", y: str = "", title: str = "", legend: bool = False) -> None:
    """Label axes in the ink of all figures. The legend takes the place that hides least."""
    axes.set_xlabel(x, color=INK, fontsize=9)
    axes.set_ylabel(y, color=INK, fontsize=9)
    if title:
        axes.set_title(title, color=INK, fontsize=11, loc="left")
    if legend:
        axes.legend(frameon=False, fontsize=8, labelcolor=INK)


def curve(
    axes: Axes, history: Sequence[Row], key: str, index: int = 0, colour: str | None = None
) -> bool:
    """Draw `key` over steps for the rows that have it; returns whether there was anything.

    A noisy curve (over 60 points) is drawn pale with its running mean on top.
    """
    points = [
        (row.get("step", i), row[key]) for i, row in enumerate(history) if is_number(row, key)
    ]
    if not points:
        return False
    steps, values = zip(*points, strict=True)
    style = {"color": colour or LINE_COLOURS[index % len(LINE_COLOURS)]}
    dash = DASHES[index % len(DASHES)]
    name = key.split("/")[-1].replace("_", " ")
    if len(values) > 60:
        axes.plot(steps, values, linewidth=0.8, alpha=0.3, **style)
        window = max(5, len(values) // 30)
        values = running_mean(values, window)
    marker = "o" if len(values) <= 12 else None
    axes.plot(steps, values, linestyle=dash, linewidth=1.8, marker=marker, label=name, **style)
    return True


def is_number(row: Row, key: str) -> bool:
    """Whether the row has a number (not None, text or a truth value) under this key."""
    return isinstance(row.get(key), int | float) and not isinstance(row[key], bool)


def running_mean(values: Sequence[float], window: int) -> list[float]:
    """Mean of each value and the `window - 1` before it; shorter at the start, never ahead."""
    means = []
    for index in range(len(values)):
        recent = values[max(0, index - window + 1) : index + 1]
        means.append(sum(recent) / len(recent))
    return means


def bar_places(bars: int) -> tuple[float, list[float]]:
    """Where the bars of a group stand: their width, and how far each is off the group's middle."""
    width = 0.8 / bars  # groups are 1 apart: the rest is the gap between them
    return width, [(index - (bars - 1) / 2) * width for index in range(bars)]


def whiskers(middle: float, low: float, high: float) -> list[list[float]]:
    """How far an interval goes to either side of its middle, as matplotlib's errorbar wants it."""
    return [[middle - low], [high - middle]]


def legend_above(figure: Figure, columns: int) -> None:
    """The legend of a whole figure in one line above it, where it hides nothing."""
    figure.legend(
        loc="outside upper center", ncols=columns, frameon=False, fontsize=9, labelcolor=INK
    )


def png_bytes(figure: Figure, dpi: int, *, optimize: bool = False) -> bytes:
    """A figure as a PNG on its paper; `optimize` takes longer and makes it smaller.

    Either way the pixels are the same: only a figure of at most 256 colours gets a palette.
    """
    from PIL import Image

    picture = io.BytesIO()
    options = {"optimize": optimize}
    figure.savefig(picture, format="png", dpi=dpi, facecolor=PAPER, pil_kwargs=options)
    if optimize:
        image = Image.open(picture).convert("RGB")
        small = image.quantize(256, dither=Image.Dither.NONE)
        if small.convert("RGB").tobytes() == image.tobytes():
            picture = io.BytesIO()
            small.save(picture, format="PNG", optimize=True)
    return picture.getvalue()
