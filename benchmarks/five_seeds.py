"""Run the whole path for several seeds and write one row a seed into docs/benchmarks.md.

    python benchmarks/five_seeds.py --preset quick --seeds 10 11 12 13 14 --out runs/seeds
    python benchmarks/five_seeds.py --seeds 10 --reuse --readme      tables and figures of README.md

`--reuse` takes a report that is already in the folder, without asking whether the code has changed
since; without it every seed goes through the command line again. Rows are shown one by one and not
averaged: a floor that holds on average and fails for one seed in five is not a floor.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from rlhf_tutorial import reporting

ROOT = Path(__file__).resolve().parent.parent
README_FIGURES = ("axes", "ppo")


def run_seed(preset: str, seed: int, out: Path, reuse: bool) -> dict[str, Any]:
    """The report of one seed, from a run in a process of its own, or from disk if wanted."""
    folder = out / f"{preset}-{seed}"
    if not (reuse and (folder / "report.json").exists()):
        command = [sys.executable, "-m", "rlhf_tutorial", "run", "--preset", preset]
        command += ["--seed", str(seed), "--out", str(folder)]
        print("[five seeds]", " ".join(command[2:]), flush=True)
        subprocess.run(command, check=True)
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


def row(report: dict[str, Any]) -> list[str]:
    """What the issue of the whole path sets a number for, in the order of `HEADER`."""
    sft, rlhf = report["models"]["sft"], report["models"]["rlhf"]
    rates = report["win_rate"]
    rival = rates.get("best_ranked_sft_vs_sft")
    show = reporting.number

    def change(key: str) -> str:
        return f"{show(sft[key])} → {show(rlhf[key])}"

    return [
        str(report["seed"]),
        show(report["seconds"]["total"], 0),
        show(report["peak_rss_mb"], 0),
        str(report["reward_model"]["rankings"]),
        show(report["reward_model"]["accuracy_vs_gold"]),
        show(report["reward_model"]["ece"], 3),
        reporting.interval(rates["rlhf_vs_sft"]),
        "–" if rival is None else show(rival["mean"]),
        *(change(key) for key in ("helpfulness", "correctness", "tone")),
        *(change(key) for key in ("harmful_compliance", "over_refusal", "made_up", "distinct")),
        f"{show(sft['length'], 1)} → {show(rlhf['length'], 1)}",
    ]


HEADER = [
    *("seed", "seconds", "MB", "rankings", "RM vs gold", "ECE", "RLHF over SFT"),
    "top-ranked SFT over SFT",
    *("helpfulness", "correctness", "tone", "harmful compliance", "over-refusal", "made up"),
    *("distinct", "length"),
]


def median_run(reports: list[dict[str, Any]]) -> dict[str, Any]:
    """The run whose win rate lies in the middle; of an even number the lower of the two."""
    by_wins = sorted(reports, key=lambda report: report["win_rate"]["rlhf_vs_sft"]["mean"])
    return by_wins[(len(by_wins) - 1) // 2]


def fill_readme(preset: str, report: dict[str, Any], folder: Path, runs: int) -> None:
    """The tables and figures of one run of several, copied into docs/figures and README.md."""
    figures = ROOT / "docs" / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    for figure in README_FIGURES:
        shutil.copyfile(folder / "figures" / f"{figure}.png", figures / f"{figure}.png")
    cores = report["machine"]["cores"]
    parts = [
        f"Preset {preset}, {cores} cores, {report['seconds']['total'] / 60:.1f} minutes. Of {runs} "
        f"seeds this is the one with the median win rate ({report['seed']}):",
        reporting.model_table(report),
        reporting.win_rate_table(report),
        "Six test prompts, the first of each of six families:",
        reporting.markdown_table(
            ["prompt", "SFT", "RLHF"],
            [
                [" ".join(sample[key].split()) for key in ("prompt", "sft", "rlhf")]
                for sample in report["samples"]
            ],
        ),
        "![Gold reward and the six axes of every model](docs/figures/axes.png)",
        "![Reward, KL, entropy and gold over PPO steps](docs/figures/ppo.png)",
    ]
    reporting.fill_sections(ROOT / "README.md", {"results": "\n\n".join(parts)})


def main() -> None:
    parser = argparse.ArgumentParser(description="Run several seeds and write their rows.")
    parser.add_argument("--preset", default="quick", choices=("quick", "full"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[10, 11, 12, 13, 14])
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "seeds")
    parser.add_argument(
        "--readme", action="store_true", help="write README.md from the median seed, not the table"
    )
    parser.add_argument("--reuse", action="store_true", help="take reports that are already there")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.readme:
        report = median_run(
            [run_seed(arguments.preset, s, arguments.out, arguments.reuse) for s in arguments.seeds]
        )
        folder = arguments.out / f"{arguments.preset}-{report['seed']}"
        fill_readme(arguments.preset, report, folder, len(arguments.seeds))
        return
    rows = [
        row(run_seed(arguments.preset, seed, arguments.out, arguments.reuse))
        for seed in arguments.seeds
    ]
    table = reporting.markdown_table(HEADER, rows)
    print(table)
    reporting.fill_sections(ROOT / "docs" / "benchmarks.md", {f"seeds-{arguments.preset}": table})


if __name__ == "__main__":
    main()
