"""Does PPO hold? Twenty seeds of the quick preset's PPO stage, and a grid of three settings.

    python benchmarks/ppo_stability.py                 all runs, tables and a heat map (an hour)
    python benchmarks/ppo_stability.py --seconds 600   start no run after that; call it again
    python benchmarks/ppo_stability.py --seconds 0     no run: tables of what is there

Twenty seeds: five of PPO from each of four runs of `five_seeds.py`, with that run's SFT and reward
model (built if missing). A run counts as collapsed when PPO ends in an error, or when more than a
tenth of its last step's replies are the same one. The grid is of shorter runs from the SFT and
reward model of seed 0, which settings are tuned on: clip, learning rate and KL budget. beta is a
fifth of the preset's there, so that there is something for a budget to stop. Gold is the mean of
the replies that a step samples, to training prompts; PPO never sees it. Finished runs are kept in
`--out`; what was run with the same models and settings is not run again.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from itertools import product
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import kept_runs, ppo_tasks  # noqa: E402
from rlhf_tutorial import bench_table, plotting_stability, presets, reporting, stages  # noqa: E402
from rlhf_tutorial.plotting_parts import png_bytes  # noqa: E402
from rlhf_tutorial.ppo import PPOError, PPOSettings, train_ppo  # noqa: E402
from rlhf_tutorial.reward import score_rollout  # noqa: E402
from rlhf_tutorial.stages_build import gold_mean, ppo_prompts  # noqa: E402

BASES, SEEDS = (10, 11, 12, 13), (0, 1, 2, 3, 4)
QUICK = presets.get_preset("quick")
SHORT = replace(QUICK.ppo, steps=20, batch_size=64, kl_coefficient=QUICK.ppo.kl_coefficient / 5)
CLIPS, RATES, BUDGETS = (0.05, 0.2, 0.8), (1e-4, 3e-4, 1e-3), (1.0, 4.0, None)
SAME = 0.1  # share of one reply among those to different prompts that counts as a collapse
GRID_FIGURE = "![Gold and KL for each clip, learning rate and KL budget](figures/ppo_grid.png)"


@dataclass(frozen=True)
class Case:
    """One run of PPO: whose models, which seed, which settings."""

    kind: str  # "seeds" or "grid"
    base: int
    seed: int
    settings: PPOSettings


def cases() -> list[Case]:
    """All runs: the seeds first."""
    seeds = [Case("seeds", base, seed, QUICK.ppo) for base, seed in product(BASES, SEEDS)]
    grid = [
        Case("grid", 0, 0, replace(SHORT, clip=clip, learning_rate=rate, kl_budget=budget))
        for budget, clip, rate in product(BUDGETS, CLIPS, RATES)
    ]
    return seeds + grid


class Bases:
    """SFT and reward models of finished runs, each loaded when it is first asked for."""

    def __init__(self) -> None:
        self.found: dict[int, dict] = {}

    @staticmethod
    def request(base: int) -> stages.Request:
        """Where the run of a seed keeps its artefacts."""
        home = ROOT / "runs" if base == 0 else ROOT / "runs" / "seeds"
        return stages.Request("quick", base, home / f"quick-{base}" / "artefacts")

    def are_there(self, base: int) -> bool:
        """Whether nothing of a seed would have to be built."""
        return base in self.found or not stages.missing(self.request(base), "reward_model")

    def of(self, base: int) -> dict:
        """`{"sft": artefact, "reward_model": artefact}` of a seed."""
        if base not in self.found:
            names = ("sft", "reward_model")
            self.found[base] = {name: stages.build(self.request(base), name) for name in names}
        return self.found[base]

    def fingerprint(self, base: int) -> str:
        """A hash of their weights."""
        return ppo_tasks.fingerprint([part.path for part in self.of(base).values()])


def key(case: Case, fingerprint: str) -> str:
    """What a kept run was run with."""
    return sha256(repr((case.kind, case.seed, case.settings, fingerprint)).encode()).hexdigest()[
        :16
    ]


def run(case: Case, bases: Bases) -> dict:
    """Train once; where gold and KL began and ended, and whether the policy collapsed."""
    parts = bases.of(case.base)
    tokenizer, policy = parts["sft"].tokenizer(), parts["sft"].model()
    reward_model = parts["reward_model"].model()
    shares = []

    def look(step, model, rollout, row) -> None:
        row["gold"] = gold_mean(rollout)
        shares.append(Counter(rollout.texts).most_common(1)[0][1] / len(rollout.texts))

    error = ""
    try:
        history = train_ppo(
            policy,
            parts["sft"].model(),
            tokenizer,
            ppo_prompts(QUICK.ppo_prompts, seed=case.seed, round=1),
            lambda rollout: score_rollout(reward_model, tokenizer, rollout, standardise=True),
            case.settings,
            seed=case.seed,
            callbacks=[look],
        )
    except PPOError as problem:
        history, error = problem.history, str(problem)
    last = [row for row in history[-3:] if "gold" in row]
    return {
        "kind": case.kind,
        "base": case.base,
        "seed": case.seed,
        "settings": asdict(case.settings),
        "steps": len(history),
        "gold_first": history[0]["gold"],
        "gold_last": sum(row["gold"] for row in last) / len(last),
        "kl": sum(row["objective/kl"] for row in last) / len(last),
        "same": shares[-1],
        "error": error,
    }


def collapsed(row: dict) -> bool:
    """Whether a run ended in an error, or gives one reply to many prompts."""
    return bool(row["error"]) or row["same"] > SAME


def count_collapsed(rows: list[dict]) -> str:
    """How many, and by which of the two signs."""
    errors = sum(bool(row["error"]) for row in rows)
    alike = sum(map(collapsed, rows)) - errors
    return (
        f"{errors} ended in an error, {alike} gave one reply to more than a tenth of the last "
        "step's prompts"
    )


def seeds_table(rows: list[dict]) -> str:
    """One line a seed, and how many collapsed."""
    header = ["models of seed", "PPO seed", "gold, first step → last three", "KL (nats a reply)"]
    header += ["commonest reply", "collapsed"]
    number = reporting.number
    lines = [
        [
            str(row["base"]),
            str(row["seed"]),
            f"{number(row['gold_first'])} → {number(row['gold_last'])}",
            number(row["kl"]),
            number(row["same"]),
            "yes" if collapsed(row) else "no",
        ]
        for row in rows
    ]
    planned = len(BASES) * len(SEEDS)
    note = f"{len(rows)} of {planned} planned runs, {QUICK.ppo.steps} steps of "
    note += f"{QUICK.ppo.batch_size} replies each; {count_collapsed(rows)}. "
    note += bench_table.machine_line()
    return f"{reporting.markdown_table(header, lines)}\n\n{note}"


def grid_panels(rows: list[dict]) -> dict[str, list[list[dict | None]]]:
    """`{budget: cells}`, clips down and learning rates across; None where nothing was run."""
    found = {
        tuple(row["settings"][name] for name in ("kl_budget", "clip", "learning_rate")): row
        for row in rows
    }
    return {
        f"stop at {budget:g} nat{'s' * (budget != 1)}" if budget else "no budget": [
            [found.get((budget, clip, rate)) for rate in RATES] for clip in CLIPS
        ]
        for budget in BUDGETS
    }


def write(rows: list[dict]) -> None:
    """The table and the heat map into docs/."""
    sections = {}
    seeds = [row for row in rows if row["kind"] == "seeds"]
    if seeds:
        sections["ppo-seeds"] = seeds_table(seeds)
    grid = [row for row in rows if row["kind"] == "grid"]
    if grid:
        figure = plotting_stability.grid(grid_panels(grid), CLIPS, RATES)
        picture = png_bytes(figure, dpi=90, optimize=True)
        (ROOT / "docs" / "figures" / "ppo_grid.png").write_bytes(picture)
        planned = len(CLIPS) * len(RATES) * len(BUDGETS)
        note = f"{len(grid)} of {planned} planned runs of up to {SHORT.steps} steps of "
        note += f"{SHORT.batch_size} replies, β = {SHORT.kl_coefficient:g}; "
        note += f"{count_collapsed(grid)}."
        sections["ppo-grid"] = f"{note}\n\n{GRID_FIGURE}"
    reporting.fill_sections(ROOT / "docs" / "benchmarks.md", sections)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=("seeds", "grid"), help="one kind of runs")
    parser.add_argument("--seconds", type=float, default=math.inf, help="start no run after")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "ppo_stability.jsonl")
    parser.add_argument("--print-only", action="store_true", help="leave docs/ alone")
    options = parser.parse_args()
    start, done, bases = time.perf_counter(), kept_runs.finished_runs(options.out), Bases()
    rows = []
    for case in cases():
        late = time.perf_counter() - start > options.seconds
        if options.only not in (None, case.kind) or (late and not bases.are_there(case.base)):
            continue
        name = key(case, bases.fingerprint(case.base))
        if name not in done:
            if late:
                continue
            done[name] = {"key": name, **run(case, bases)}
            kept_runs.keep(options.out, done[name])
            print(f"[ppo stability] {done[name]}", flush=True)
        rows.append(done[name])
    if not rows:
        raise SystemExit("no run finished: give more --seconds")
    if not options.print_only:
        write(rows)


if __name__ == "__main__":
    main()
