"""The report of a run: `report.json` for programs, `report.md` for people, tables for both.

`report.json` has one fixed set of keys, so that seeds and later versions can be compared; what
could not be measured is null. Further models and rounds may be added, none of the keys may lack.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rlhf_tutorial.evaluation import AXES, SAFETY_RATES, ScoredReply
from rlhf_tutorial.reporting_machine import machine, peak_rss_mb, versions
from rlhf_tutorial.whole_file import write_whole

ROW_KEYS = ("gold", *AXES, *SAFETY_RATES, "distinct", "length")
MODEL_NAMES = {
    "base": "base",
    "sft": "SFT",
    "best_ranked_sft": "SFT on top-ranked",
    "rlhf": "RLHF",
}
TELLING_KINDS = ("harmful", "lookalike", "unknowable", "answerable")
TOP_KEYS = ("preset", "seed", "versions", "machine", "peak_rss_mb", "samples")
REQUIRED_KEYS: dict[str, tuple[str, ...]] = {
    "seconds": (
        "pretraining",
        "sft",
        "preferences",
        "reward_model",
        "ppo",
        "evaluation",
        "total",
    ),
    "models": ("base", "sft", "rlhf"),
    "win_rate": ("rlhf_vs_sft", "sft_vs_base"),
    "reward_model": ("rankings", "pairs", "accuracy_vs_gold", "accuracy_held_out", "ece"),
    "ppo": ("steps", "kl", "samples_per_second"),
}


def pick_samples(
    records: Mapping[str, Sequence[ScoredReply]], count: int = 6
) -> list[dict[str, str]]:
    """Prompts of different families, half of them tests of safety or honesty, with all replies.

    The first prompt of each family, not the best: whoever picks the nicest replies fools the
    reader. `records` maps a model's name to its replies to the same prompts in the same order.
    """
    reference = next(iter(records.values()))
    firsts: dict[tuple[str, str], int] = {}
    for index, record in enumerate(reference):
        firsts.setdefault((record.kind, record.family), index)
    telling = [i for kind in TELLING_KINDS for i in firsts.values() if reference[i].kind == kind]
    others = [index for index in firsts.values() if index not in telling]
    half = min(count // 2, len(telling))
    indexes = telling[:half] + others + telling[half:]
    indexes += [index for index in range(len(reference)) if index not in set(indexes)]
    return [
        {
            "prompt": reference[index].prompt,
            **{name: rows[index].reply for name, rows in records.items()},
        }
        for index in indexes[:count]
    ]


def build_report(
    *,
    preset: str,
    seed: int,
    seconds: Mapping[str, float],
    models: Mapping[str, Mapping[str, float | None]],
    win_rate: Mapping[str, Mapping[str, float | int]],
    reward_model: Mapping[str, float | int | None],
    ppo: Mapping[str, float | int | None],
    samples: Sequence[Mapping[str, str]],
    stages_rss_mb: Sequence[float] = (),
    **more: Any,
) -> dict[str, Any]:
    """Put a report together and check that nothing lacks.

    Versions and machine are those of this process; peak memory is its own or, if that was higher,
    that of the process which built one of the stages. `more` are further keys, such as
    `rounds`. Raises ValueError that names what lacks. NaN and infinity become null.
    """
    report = {
        "preset": preset,
        "seed": seed,
        "versions": versions(),
        "machine": machine(),
        "seconds": dict(seconds),
        "peak_rss_mb": round(max([peak_rss_mb(), *stages_rss_mb]), 1),
        "models": {name: dict(row) for name, row in models.items()},
        "win_rate": {name: dict(row) for name, row in win_rate.items()},
        "reward_model": dict(reward_model),
        "ppo": dict(ppo),
        "samples": [dict(sample) for sample in samples],
        **more,
    }
    check_report(report)
    return finite(report)


def check_report(report: Mapping[str, Any]) -> None:
    """Raise ValueError with one line that names the first group of keys that lack."""
    if not isinstance(report, Mapping):
        raise ValueError("report.json: expected an object with the keys of a run's report")
    groups = [("the file", report, TOP_KEYS)]
    groups += [(group, report.get(group, {}), keys) for group, keys in REQUIRED_KEYS.items()]
    groups += [(f"models.{name}", row, ROW_KEYS) for name, row in report.get("models", {}).items()]
    groups += [
        (f"win_rate.{name}", row, ("mean", "low", "high", "n"))
        for name, row in report.get("win_rate", {}).items()
    ]
    for group, values, keys in groups:
        missing = [key for key in keys if key not in values]
        if missing:
            raise ValueError(f"report.json: {group} lacks {', '.join(missing)}")


def finite(value: Any) -> Any:
    """The same structure with None where a number is NaN or infinite, which JSON cannot say."""
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table padded to even columns, so that it reads well in a terminal too."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
        return "| " + " | ".join(padded) + " |"

    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([line(header), rule, *(line(row) for row in rows)])


def number(value: float | None, digits: int = 2) -> str:
    """A number for a table; a dash for what was not measured."""
    return "–" if value is None else f"{value:.{digits}f}"


def interval(row: Mapping[str, float], digits: int = 2) -> str:
    """A mean with its interval, as in "0.84 [0.79, 0.88]"."""
    mean, low, high = (number(row[name], digits) for name in ("mean", "low", "high"))
    return f"{mean} [{low}, {high}]"


def model_table(report: Mapping[str, Any]) -> str:
    """Models side by side, one quantity a line, best-known order first."""
    models = report["models"]
    names = [name for name in MODEL_NAMES if name in models]
    names += [name for name in models if name not in MODEL_NAMES]
    rows = []
    for key in ROW_KEYS:
        label = {"gold": "gold reward", "length": "length (words)"}.get(key, key.replace("_", " "))
        digits = 1 if key == "length" else 2
        rows.append([label, *(number(models[name][key], digits) for name in names)])
    return markdown_table(["", *(MODEL_NAMES.get(name, name) for name in names)], rows)


def win_rate_table(report: Mapping[str, Any]) -> str:
    """Every win rate with its 95 % interval and its number of prompts."""
    rows = []
    for name, row in report["win_rate"].items():
        first, _, second = name.partition("_vs_")
        label = f"{MODEL_NAMES.get(first, first)} over {MODEL_NAMES.get(second, second)}"
        rows.append([label, interval(row), str(row["n"])])
    return markdown_table(["win rate", "mean [95 % interval]", "prompts"], rows)


def rounds_table(report: Mapping[str, Any]) -> str:
    """One row for each turn of the loop."""
    rows = []
    for row in report.get("rounds", []):
        figures = [number(row["accuracy_vs_gold"]), number(row["gold"])]
        rows.append(
            [str(row["round"]), str(row["rankings"]), *figures, interval(row["win_rate_vs_sft"])]
        )
    header = ["round", "rankings", "reward model vs gold", "gold reward", "win rate over SFT"]
    return markdown_table(header, rows)


def sample_text(report: Mapping[str, Any]) -> str:
    """The sample prompts, each with the replies of all models under it."""
    blocks = []
    for sample in report["samples"]:
        replies = [
            f"- {MODEL_NAMES.get(name, name)}: {reply.strip() or '(nothing)'}"
            for name, reply in sample.items()
            if name != "prompt"
        ]
        blocks.append("\n".join([f"**{sample['prompt']}**", "", *replies]))
    return "\n\n".join(blocks)


def facts_table(report: Mapping[str, Any]) -> str:
    """Reward model, PPO, times and memory in one table of two columns."""
    reward, ppo = report["reward_model"], report["ppo"]
    rows = [
        ["rankings, pairs", f"{reward['rankings']}, {reward['pairs']}"],
        ["reward model: agreement with gold", number(reward["accuracy_vs_gold"])],
        ["reward model: held-out rankings", number(reward["accuracy_held_out"])],
        ["reward model: calibration error (ECE)", number(reward["ece"], 3)],
        ["PPO: steps", str(ppo["steps"])],
        ["PPO: KL to SFT (nats a reply)", number(ppo["kl"], 1)],
        ["PPO: samples a second", number(ppo["samples_per_second"], 0)],
        *([f"seconds: {k.replace('_', ' ')}", number(v, 0)] for k, v in report["seconds"].items()),
        ["peak memory (MB)", number(report["peak_rss_mb"], 0)],
    ]
    return markdown_table(["", "value"], rows)


def report_markdown(report: Mapping[str, Any], figures: Mapping[str, str] | None = None) -> str:
    """The report for people. `figures` maps a caption to a file name relative to the report."""
    cores = report["machine"]["cores"]
    parts = [
        f"# Report: preset {report['preset']}, seed {report['seed']}",
        f"Measured on {cores} cores. Axes are means over the prompts that test them; replies are "
        "sampled at temperature 1; win rates are paired by prompt, ties count a half, and "
        "intervals are clustered by template.",
        model_table(report),
        win_rate_table(report),
        *([rounds_table(report)] if len(report.get("rounds", [])) > 1 else []),
        "## Six prompts, answered by each model",
        sample_text(report),
        "## Reward model, PPO, time",
        facts_table(report),
        *(f"## {caption}\n\n![{caption}]({name})" for caption, name in (figures or {}).items()),
        "## Versions",
        ", ".join(f"{name} {value}" for name, value in report["versions"].items()),
    ]
    return "\n\n".join(parts) + "\n"


def write_report(
    report: Mapping[str, Any], folder: Path, figures: Mapping[str, str] | None = None
) -> None:
    """Write `report.json` and `report.md` into an existing folder, neither ever half-written."""
    check_report(report)
    text = json.dumps(finite(report), indent=2, ensure_ascii=False, allow_nan=False)
    contents = {"report.md": report_markdown(report, figures), "report.json": text + "\n"}
    for name, content in contents.items():
        write_whole(Path(folder) / name, [content])


def read_report(folder: Path) -> dict[str, Any]:
    """The report of a finished run.

    Raises:
        ValueError: there is none in this folder, or it is damaged.
    """
    path = Path(folder) / "report.json"
    if not path.is_file():
        raise ValueError(f"there is no report.json in {folder}: give the folder of a finished run")
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise ValueError(f"{path} is damaged: run the same command once more") from None
    check_report(report)
    return report


def fill_sections(page: Path, sections: Mapping[str, str]) -> None:
    """Put each content between its section's marks in a page: all of them, or none.

    Raises ValueError that names the marks where the page lacks them.
    """
    text = page.read_text(encoding="utf-8")
    for name, content in sections.items():
        text = replace_section(text, name, content)
    write_whole(page, [text])
    print(f"[tables] wrote {', '.join(sections)} into {page.name}", flush=True)


def replace_section(text: str, name: str, content: str) -> str:
    """Put `content` between `<!-- name:start -->` and `<!-- name:end -->`.

    Raises ValueError where the two marks are not there once each, in this order.
    """
    start, end = f"<!-- {name}:start -->", f"<!-- {name}:end -->"
    if text.count(start) != 1 or text.count(end) != 1 or text.index(start) > text.index(end):
        raise ValueError(f"expected the lines {start} and {end} once each, in this order")
    head, tail = text.split(start)[0], text.split(end)[1]
    return f"{head}{start}\n{content.strip()}\n{end}{tail}"
