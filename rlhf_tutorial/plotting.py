"""Every figure of the report. Each function returns a matplotlib `Figure`; `save` writes it.

Colours, paper and whatever else figures share are in plotting_parts.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlhf_tutorial.evaluation import AXES
from rlhf_tutorial.plotting_parts import (
    INK,
    LINE_COLOURS,
    MODEL_COLOURS,
    PAPER,
    Row,
    bar_places,
    curve,
    is_number,
    label,
    legend_above,
    new_figure,
    whiskers,
)
from rlhf_tutorial.reporting import MODEL_NAMES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STAGE_NAMES = {
    "pretraining": "Pretraining",
    "sft": "SFT",
    "reward_model": "Reward model",
    "ppo": "PPO",
}
# stage -> keys of its upper panel, label of that panel's axis; the lower panel shows the probes
MAIN_CURVES = {
    "pretraining": (("loss", "validation_loss"), "loss (nats a token)"),
    "sft": (("loss", "validation_loss"), "loss (nats a token)"),
    "reward_model": (("loss", "validation_loss"), "loss (nats a pair)"),
    "ppo": (("objective/scores",), "reward-model score"),
}
PPO_CURVES = (
    ("objective/scores", "reward-model score"),
    ("objective/kl", "KL to SFT (nats a reply)"),
    ("objective/entropy", "entropy (nats a reply)"),
)
NOT_PROBES = {"step", "lr", "learning_rate", "episode", "seconds", "best_step", "tokens", "epoch"}


def probe_keys(history: Sequence[Row], main_keys: Iterable[str]) -> list[str]:
    """Keys of a history that are shares in [0, 1] and not drawn elsewhere: probes, accuracies."""
    keys = dict.fromkeys(key for row in history for key in row if is_number(row, key))
    return [
        key
        for key in keys
        if key not in NOT_PROBES
        and key not in main_keys
        and "/" not in key
        and "loss" not in key
        and all(0 <= row[key] <= 1 for row in history if is_number(row, key))
    ]


def learning_curves(histories: Mapping[str, Sequence[Row]]) -> Figure:
    """Training curves of every stage: its loss (or score) above, what it can do below.

    `histories` maps pretraining, sft, reward_model and ppo to their rows; stages without rows are
    left out. Raises ValueError if none has any.
    """
    stages = [stage for stage in MAIN_CURVES if histories.get(stage)]
    if not stages:
        raise ValueError(f"no history to draw: expected rows for one of {', '.join(MAIN_CURVES)}")
    figure, all_axes = new_figure(2, len(stages), width=3.4 * len(stages), height=5.2)
    for column, stage in enumerate(stages):
        history = histories[stage]
        keys, axis_label = MAIN_CURVES[stage]
        upper, lower = all_axes[0][column], all_axes[1][column]
        drawn = [curve(upper, history, key, index) for index, key in enumerate(keys)]
        label(upper, y=axis_label, title=STAGE_NAMES[stage], legend=sum(drawn) > 1)
        probes = probe_keys(history, keys)[: len(LINE_COLOURS)]
        for index, key in enumerate(probes):
            curve(lower, history, key, index)
        if probes:
            lower.set_ylim(-0.03, 1.03)
            label(lower, x="step", y="probes (share, 0 to 1)", legend=True)
        else:
            lower.set_visible(False)
            label(upper, x="step", y=axis_label, title=STAGE_NAMES[stage], legend=sum(drawn) > 1)
    return figure


def axes_bars(models: Mapping[str, Mapping[str, float | None]]) -> Figure:
    """Gold score and the six axes of each model as bars side by side.

    `models` is the part `models` of the report. What was not measured has no bar.
    """
    names = [name for name in MODEL_NAMES if name in models]
    if not names:
        raise ValueError(f"no model to draw: expected one of {', '.join(MODEL_NAMES)}")
    quantities = ("gold", *AXES)
    figure, all_axes = new_figure(width=9.5, height=3.8)
    axes = all_axes[0][0]
    width, offsets = bar_places(len(names))
    for name, offset in zip(names, offsets, strict=True):
        places, heights = [], []
        for column, quantity in enumerate(quantities):
            if models[name].get(quantity) is not None:
                places.append(column + offset)
                heights.append(models[name][quantity])
        bars = axes.bar(
            places, heights, width * 0.92, color=MODEL_COLOURS[name], label=MODEL_NAMES[name]
        )
        axes.bar_label(bars, fmt="%.2f", fontsize=6.5, color=INK, padding=1)
    axes.set_xticks(range(len(quantities)), ["gold", *AXES])
    axes.grid(axis="x", visible=False)
    axes.set_ylim(0, 1.08)
    label(axes, y="mean score (0 to 1)")
    legend_above(figure, len(names))
    return figure


def win_rates(rates: Mapping[str, Mapping[str, float]]) -> Figure:
    """Win rates with their 95 % intervals; the dashed line is a draw.

    `rates` is the part `win_rate` of the report, with names such as rlhf_vs_sft.
    """
    figure, all_axes = new_figure(width=6.5, height=1.2 + 0.45 * len(rates))
    axes = all_axes[0][0]
    labels = []
    for place, (name, rate) in enumerate(rates.items()):
        first, _, second = name.partition("_vs_")
        labels.append(f"{MODEL_NAMES.get(first, first)} over {MODEL_NAMES.get(second, second)}")
        reach = whiskers(rate["mean"], rate["low"], rate["high"])
        colour = MODEL_COLOURS.get(first, INK)
        axes.errorbar(rate["mean"], place, xerr=reach, fmt="o", color=colour, capsize=4)
    axes.axvline(0.5, color=INK, linestyle="--", linewidth=1)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_xlim(0, 1)
    label(axes, x="win rate by gold (share of prompts, ties a half; 95 % interval)")
    return figure


def reliability_curve(table: Sequence[Row], ece: float | None = None) -> Figure:
    """Predicted against observed share of choices; on the diagonal is calibrated.

    `table` is that of `calibration.calibration`: rows with probability, frequency and count. The
    area of a dot goes with the number of pairs in its bin.
    """
    if not table:
        raise ValueError("an empty reliability table: calibrate on at least one pair")
    figure, all_axes = new_figure(width=4.6, height=4.4)
    axes = all_axes[0][0]
    predicted = [row["probability"] for row in table]
    observed = [row["frequency"] for row in table]
    largest = max(row["count"] for row in table)
    sizes = [15 + 185 * row["count"] / largest for row in table]
    axes.plot([0, 1], [0, 1], linestyle="--", color=INK, linewidth=1, label="calibrated")
    axes.plot(predicted, observed, color=LINE_COLOURS[1], linewidth=1.2)
    axes.scatter(
        predicted, observed, sizes, color=LINE_COLOURS[1], clip_on=False, zorder=3, label="measured"
    )
    start = 0.4 if min(predicted + observed) >= 0.4 else 0.0  # no empty half of favourites alone
    axes.set_xlim(start - 0.02, 1.02)
    axes.set_ylim(start - 0.02, 1.02)
    axes.set_aspect("equal")
    title = "" if ece is None else f"calibration error (ECE) {ece:.3f}"
    label(
        axes,
        x="predicted probability of a choice",
        y="observed share of choices",
        title=title,
    )
    axes.legend(frameon=False, fontsize=8, labelcolor=INK, loc="upper left")
    return figure


def ppo_panel(history: Sequence[Row], gold_key: str = "gold") -> Figure:
    """Reward, KL and entropy over PPO steps, and the gold reward where a callback logged it."""
    wanted = [*PPO_CURVES, (gold_key, "gold reward (0 to 1)")]
    shown = [pair for pair in wanted if any(is_number(row, pair[0]) for row in history)]
    if not shown:
        raise ValueError("no PPO history to draw: expected rows with objective/scores")
    figure, all_axes = new_figure(1, len(shown), width=3.3 * len(shown), height=3.0)
    for index, (key, axis_label) in enumerate(shown):
        curve(all_axes[0][index], history, key, colour=MODEL_COLOURS["rlhf"])
        label(all_axes[0][index], x="PPO step", y=axis_label)
    return figure


def save(figure: Figure, path: Path | str) -> Path:
    """Write a figure as PNG with its own background; returns the path."""
    figure.savefig(path, dpi=150, facecolor=PAPER, transparent=False, format="png")
    return Path(path)


def write_figures(
    folder: Path | str,
    report: Mapping[str, Any],
    histories: Mapping[str, Sequence[Row]],
    reliability: Sequence[Row] = (),
) -> dict[str, str]:
    """Write all figures of a report into `folder`/figures; returns caption -> path in `folder`.

    The result is what `reporting.write_report` takes as `figures`. A figure without data is left
    out.
    """
    ece = report["reward_model"]["ece"]
    figures = {
        "Each axis, model by model": ("axes", axes_bars(report["models"])),
        "Win rates": ("win_rates", win_rates(report["win_rate"])),
    }
    if any(histories.values()):
        figures["Learning curves"] = ("learning_curves", learning_curves(histories))
    if histories.get("ppo"):
        figures["PPO"] = ("ppo", ppo_panel(histories["ppo"]))
    if reliability:
        caption = "Calibration of the reward model"
        figures[caption] = ("reliability", reliability_curve(reliability, ece))
    (Path(folder) / "figures").mkdir(exist_ok=True)
    for name, figure in figures.values():
        save(figure, Path(folder) / "figures" / f"{name}.png")
    return {caption: f"figures/{name}.png" for caption, (name, _) in figures.items()}
