"""The map of the course: the loop of RLHF as one drawn picture, with "you are here"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlhf_tutorial.plotting_parts import INK, LINE_COLOURS, MODEL_COLOURS, PAPER

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# station -> (x, y) of its middle, its words, its colour
STATIONS = {
    "pretraining": ((1.0, 2.6), "base model\nlearns to speak", MODEL_COLOURS["base"]),
    "sft": ((3.8, 2.6), "SFT model\nlearns to answer", MODEL_COLOURS["sft"]),
    "preferences": ((6.6, 2.6), "rankings\npeople compare replies", LINE_COLOURS[1]),
    "reward_model": ((9.4, 2.6), "reward model\na ranking becomes a number", LINE_COLOURS[3]),
    "ppo": ((9.4, 0.8), "PPO\nthe number changes the model", MODEL_COLOURS["rlhf"]),
    "evaluation": ((6.6, 0.8), "evaluation\na judge who stood apart", INK),
}
ARROWS = (
    ("pretraining", "sft", "demonstrations"),
    ("sft", "preferences", "replies"),
    ("preferences", "reward_model", "pairs"),
    ("reward_model", "ppo", "reward"),
    ("ppo", "evaluation", "replies"),
    ("evaluation", "preferences", "round again"),
)
HALF_WIDTH, HALF_HEIGHT = 0.90, 0.42
LOWER_ROW = 1.5  # stations below this height are named underneath, where no arrow ends


def loop(here: str = "") -> Figure:
    """The loop with the station `here` filled; without one for the empty string.

    Raises:
        ValueError: there is no such station; says which there are.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import FancyBboxPatch

    if here and here not in STATIONS:
        raise ValueError(f"no station {here!r}: choose one of {', '.join(STATIONS)}")
    figure = Figure(figsize=(9.6, 3.1), facecolor=PAPER, layout="constrained")
    axes = figure.subplots()
    axes.set_xlim(0, 10.4)
    axes.set_ylim(0.05, 3.4)
    axes.axis("off")
    for name, ((x, y), words, colour) in STATIONS.items():
        filled = name == here
        axes.add_patch(
            FancyBboxPatch(
                (x - HALF_WIDTH, y - HALF_HEIGHT),
                2 * HALF_WIDTH,
                2 * HALF_HEIGHT,
                boxstyle="round,pad=0.02,rounding_size=0.12",
                facecolor=colour if filled else PAPER,
                edgecolor=colour,
                linewidth=2,
            )
        )
        ink = PAPER if filled else INK
        title, explanation = words.split("\n")
        axes.text(x, y + 0.13, title, ha="center", va="center", color=ink, fontsize=10.5)
        axes.text(x, y - 0.17, explanation, ha="center", va="center", color=ink, fontsize=7)
        if filled:
            below = y < LOWER_ROW
            place = y - 0.68 if below else y + 0.58
            axes.text(x, place, "you are here", ha="center", color=INK, fontsize=8.5)
    for start, end, words in ARROWS:
        _arrow(axes, STATIONS[start][0], STATIONS[end][0], words)
    return figure


def _arrow(axes, start: tuple[float, float], end: tuple[float, float], words: str) -> None:
    """An arrow from the edge of one box to the edge of another, its words beside it."""
    (x0, y0), (x1, y1) = start, end
    if y0 == y1:
        way = 1 if x1 > x0 else -1
        tail, tip = (x0 + way * (HALF_WIDTH + 0.04), y0), (x1 - way * (HALF_WIDTH + 0.04), y1)
        place, across = ((tail[0] + tip[0]) / 2, y0 + 0.12), "center"
    else:
        way = 1 if y1 > y0 else -1
        tail, tip = (x0, y0 + way * (HALF_HEIGHT + 0.04)), (x1, y1 - way * (HALF_HEIGHT + 0.04))
        place, across = ((tail[0] + tip[0]) / 2 + 0.1, (tail[1] + tip[1]) / 2 - 0.05), "left"
    arrow = {"arrowstyle": "-|>", "color": INK, "linewidth": 1.3}
    axes.annotate("", xy=tip, xytext=tail, arrowprops=arrow)
    axes.text(*place, words, ha=across, color=INK, fontsize=7)
