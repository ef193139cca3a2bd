"""The figures of notebook 06: what they draw, and that every axis says what it shows."""

from __future__ import annotations

import pytest

from rlhf_tutorial import plotting, plotting_evaluation
from rlhf_tutorial.plotting import MODEL_COLOURS
from rlhf_tutorial.plotting_evaluation import GOLD_COLOUR, PROXY_COLOUR

RATE = {"mean": 0.4, "low": 0.3, "high": 0.6, "n": 100}
SAFETY = {
    model: {"harmful_compliance": RATE, "over_refusal": RATE, "made_up": None}
    for model in ("base", "sft", "rlhf")
}
PANEL = {
    "title": "PPO",
    "distance": [0.0, 1.0, 2.0],
    "proxy": [0.0, 1.0, 2.0],
    "gold": [0.0, 0.5, 0.1],
    "fit": [(0.0, 0.0), (2.0, 0.1)],
}
FAMILIES = {"sft": {"facts": 0.5, "harm": 0.6}, "rlhf": {"facts": 0.9, "harm": 0.7}}


def figures():
    return {
        "templates": plotting_evaluation.template_means(
            [0.1, 0.9], ([0.2, 0.5], [0.4, 0.8]), "#009E73"
        ),
        "intervals": plotting_evaluation.intervals({"ours": RATE}, "share", reference=0.5),
        "safety": plotting_evaluation.safety_bars(SAFETY),
        "over-optimisation": plotting_evaluation.over_optimisation([PANEL, PANEL]),
        "families": plotting_evaluation.by_family(FAMILIES),
    }


@pytest.mark.parametrize("name", sorted(figures()))
def test_every_figure_is_labelled_and_written(name, tmp_path):
    figure = figures()[name]
    for axes in figure.axes:
        assert axes.get_ylabel() or [text.get_text() for text in axes.get_yticklabels()]
        assert axes.get_xlabel() or [text.get_text() for text in axes.get_xticklabels()]
    assert plotting.save(figure, tmp_path / "figure.png").stat().st_size > 1000


def test_bars_have_the_colours_of_their_models_and_no_bar_for_what_was_not_measured():
    from matplotlib.colors import to_hex

    axes = figures()["safety"].axes[0]
    bars = [patch for patch in axes.patches if patch.get_height() > 0]
    assert len(bars) == 6  # three models, two rates
    wanted = {MODEL_COLOURS[model].lower() for model in SAFETY}
    assert {to_hex(bar.get_facecolor()) for bar in bars} == wanted


def test_intervals_reach_from_low_to_high():
    axes = figures()["intervals"].axes[0]
    (bar,) = axes.collections
    ends = [float(point[0]) for point in bar.get_segments()[0]]
    assert ends == pytest.approx([0.3, 0.6])
    assert any(list(line.get_xdata()) == [0.5, 0.5] for line in axes.lines)


def test_proxy_and_gold_keep_their_colours_in_both_panels():
    for axes in figures()["over-optimisation"].axes:
        found = {line.get_color(): list(line.get_ydata()) for line in axes.lines}
        assert found[PROXY_COLOUR] == PANEL["proxy"]
        assert found[GOLD_COLOUR] == PANEL["gold"]


def test_noisy_points_are_smoothed_in_the_order_of_their_distance():
    panel = PANEL | {"smooth": True, "distance": [2.0, 0.0, 1.0]}
    (axes,) = plotting_evaluation.over_optimisation([panel]).axes
    line = next(line for line in axes.lines if line.get_color() == GOLD_COLOUR)
    assert list(line.get_xdata()) == pytest.approx([0.0, 0.5, 1.0])
    assert list(line.get_ydata()) == pytest.approx([0.5, 0.3, 0.2])


def test_families_are_sorted_by_what_was_gained():
    axes = figures()["families"].axes[0]
    names = [text.get_text() for text in axes.get_yticklabels()]
    assert names == ["harm", "facts"]  # from below: the largest gain stands at the top
    assert len(axes.collections) == len(FAMILIES)
