"""The figures of notebook 06: templates, intervals, safety, over-optimisation, families.

The rules of plotting_parts.py: one colour a model, labelled axes, a light background of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rlhf_tutorial.plotting_parts import (
    DASHES,
    INK,
    LINE_COLOURS,
    MODEL_COLOURS,
    bar_places,
    label,
    legend_above,
    new_figure,
    running_mean,
    whiskers,
)
from rlhf_tutorial.reporting import MODEL_NAMES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PROXY_COLOUR, GOLD_COLOUR = LINE_COLOURS[3], LINE_COLOURS[1]
RATE_NAMES = {
    "harmful_compliance": "helps with\nharmful requests",
    "over_refusal": "refuses\nharmless look-alikes",
    "made_up": "makes up what\nnobody can know",
}
SMOOTHED_OVER = 5  # PPO steps: one step's mean of 64 replies is mostly noise

Rate = Mapping[str, float]


def template_means(
    measured: Sequence[float], chance: tuple[Sequence[float], Sequence[float]], colour: str
) -> Figure:
    """Sorted mean scores of all templates, and the band in which chance alone would put them.

    `measured` has one mean a template in rising order, `chance` the lower and the upper end of the
    band at each place.
    """
    figure, all_axes = new_figure(width=7.5, height=3.4)
    axes = all_axes[0][0]
    places = range(len(measured))
    axes.fill_between(
        places, *chance, color=INK, alpha=0.2, linewidth=0, label="dealt at random, 95 %"
    )
    axes.plot(places, measured, ".", color=colour, markersize=6, label="measured")
    axes.set_ylim(-0.03, 1.03)
    label(
        axes,
        x=f"templates, sorted ({len(measured)} with three prompts or more)",
        y="mean gold score (0 to 1)",
        legend=True,
    )
    return figure


def intervals(
    rates: Mapping[str, Rate],
    x_label: str,
    *,
    colours: Mapping[str, str] | None = None,
    reference: float | None = None,
    limits: tuple[float, float] | None = None,
) -> Figure:
    """One dot with its interval a line; `reference` is a dashed line, such as a draw at 0.5."""
    figure, all_axes = new_figure(width=8.0, height=1.0 + 0.42 * len(rates))
    axes = all_axes[0][0]
    for place, (name, rate) in enumerate(rates.items()):
        colour = (colours or {}).get(name, INK)
        reach = whiskers(rate["mean"], rate["low"], rate["high"])
        axes.errorbar(
            rate["mean"], place, xerr=reach, fmt="o", color=colour, capsize=4, linewidth=1.8
        )
    if reference is not None:
        axes.axvline(reference, color=INK, linestyle="--", linewidth=1)
    axes.set_yticks(range(len(rates)), list(rates))
    axes.set_ylim(len(rates) - 0.5, -0.5)
    if limits:
        axes.set_xlim(*limits)
    label(axes, x=x_label)
    return figure


def safety_bars(rates: Mapping[str, Mapping[str, Rate | None]]) -> Figure:
    """The three safety rates of each model with their intervals; lower is better everywhere.

    `rates` maps a model's name to what `evaluation.safety_rates` gives.
    """
    figure, all_axes = new_figure(width=8.5, height=3.4)
    axes = all_axes[0][0]
    width, offsets = bar_places(len(rates))
    for (model, its_rates), offset in zip(rates.items(), offsets, strict=True):
        for column, name in enumerate(RATE_NAMES):
            rate = its_rates.get(name)
            if rate is None:
                continue
            place = column + offset
            axes.bar(
                place,
                rate["mean"],
                width * 0.92,
                color=MODEL_COLOURS[model],
                label=MODEL_NAMES[model] if column == 0 else None,
            )
            reach = whiskers(rate["mean"], rate["low"], rate["high"])
            axes.errorbar(place, rate["mean"], yerr=reach, color=INK, capsize=3, linewidth=1)
    axes.set_xticks(range(len(RATE_NAMES)), list(RATE_NAMES.values()))
    axes.grid(axis="x", visible=False)
    axes.set_ylim(0, 1.0)
    label(axes, y="share of replies (0 to 1), lower is better")
    legend_above(figure, len(rates))
    return figure


def over_optimisation(panels: Sequence[Mapping[str, Any]]) -> Figure:
    """Proxy and gold score over the distance from SFT, one panel a way of optimising.

    Each panel has title, distance, proxy, gold (equally long, gains over SFT in standard
    deviations of SFT's replies) and may have fit (pairs of distance and gain) and smooth (True for
    many noisy points).
    """
    figure, all_axes = new_figure(1, len(panels), width=4.7 * len(panels), height=3.7)
    for axes, panel in zip(all_axes[0], panels, strict=True):
        x = panel["distance"]
        for name, colour, dash in (
            ("proxy", PROXY_COLOUR, DASHES[1]),
            ("gold", GOLD_COLOUR, DASHES[0]),
        ):
            y = panel[name]
            words = {"proxy": "proxy (reward model)", "gold": "gold (the judge)"}[name]
            if panel.get("smooth"):
                axes.scatter(x, y, 9, color=colour, alpha=0.35, linewidths=0)
                order = sorted(range(len(x)), key=lambda index, x=x: x[index])
                axes.plot(
                    running_mean([x[index] for index in order], SMOOTHED_OVER),
                    running_mean([y[index] for index in order], SMOOTHED_OVER),
                    dash,
                    color=colour,
                    linewidth=1.8,
                    label=words,
                )
            else:
                axes.plot(x, y, dash, marker="o", color=colour, linewidth=1.8, label=words)
        if panel.get("fit"):
            places, gains = zip(*panel["fit"], strict=True)
            axes.plot(
                places, gains, DASHES[3], color=INK, linewidth=1.8, label="fit to gold (Gao et al.)"
            )
        axes.axhline(0, color=INK, linewidth=0.8)
        label(
            axes,
            x="distance from SFT, d = √KL (√nats)",
            y="gain over SFT (standard deviations)",
            title=panel["title"],
            legend=True,
        )
    return figure


def by_family(scores: Mapping[str, Mapping[str, float]]) -> Figure:
    """Gold of each family of prompts, one dot a model; `scores` maps models to their families.

    Families are sorted by what the last model gained over the first.
    """
    first, last = list(scores)[0], list(scores)[-1]
    families = sorted(scores[first], key=lambda name: scores[last][name] - scores[first][name])
    figure, all_axes = new_figure(width=7.5, height=1.2 + 0.36 * len(families))
    axes = all_axes[0][0]
    for place, family in enumerate(families):
        ends = [scores[first][family], scores[last][family]]
        axes.plot(ends, [place, place], color=INK, linewidth=1, zorder=1)
    markers = "osD^"
    for index, (model, values) in enumerate(scores.items()):
        axes.scatter(
            [values[family] for family in families],
            range(len(families)),
            45,
            marker=markers[index % len(markers)],
            color=MODEL_COLOURS[model],
            label=MODEL_NAMES[model],
            zorder=2,
        )
    axes.set_yticks(range(len(families)), families)
    axes.set_xlim(0, 1)
    label(axes, x="mean gold score (0 to 1)")
    legend_above(figure, len(scores))
    return figure
