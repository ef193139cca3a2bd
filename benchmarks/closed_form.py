"""Hold PPO against the optimum that can be computed, on problems small enough to count.

    python benchmarks/closed_form.py                     20 problems, 3 betas, and KL off
    python benchmarks/closed_form.py --seconds 200       as many as fit, then stop; call it again
    python benchmarks/closed_form.py --problems 0 1 2    these only; the table is written at the end

Every problem has a vocabulary of 5 or 6 tokens, replies of 1 to 3 tokens, two prompts, a reference
policy of random weights and a random reward for each reply (`rlhf_tutorial/closed_form.py`). With
KL the optimum is the tilted reference, and the number shown is the total variation from it, the
worse of the two prompts. Without KL the optimum is the arg max, on problems where what the tokens
are worth adds up. The settings are the same for all problems. Finished runs are kept in `--out`;
what was run with the same code and settings is not run again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import torch
from kept_runs import finished_runs, keep

from rlhf_tutorial import reporting
from rlhf_tutorial.closed_form import (
    CONVERGED,
    arg_max,
    compare,
    ppo_trainer,
    random_problem,
    tilted,
)

ROOT = Path(__file__).resolve().parent.parent
SECTION = "closed-form"
PROBLEMS = range(20)
BETAS = (0.5, 1.0, 2.0, 0.0)  # reward units a nat; 0: the KL term is off
SOURCE = ("closed_form.py", "ppo.py", "ppo_math.py", "sampling.py", "replies.py")
NEAR = 0.03  # total variation that counts as right


def problem_of(seed: int, beta: float):
    """The problem of a seed: sizes go round, so that each is met with each."""
    return random_problem(seed, vocabulary=5 + seed % 2, length=1 + seed % 3, by_place=beta == 0)


def run(seed: int, beta: float) -> dict:
    """Train PPO on one problem and say how far from the optimum it began and ended."""
    problem = problem_of(seed, beta)
    settings = replace(CONVERGED, kl_coefficient=beta, max_new_tokens=problem.length)
    optimum = tilted(problem, beta) if beta else arg_max(problem)
    start = time.perf_counter()
    outcome = compare(problem, ppo_trainer(settings), optimum, seed)
    return {
        "problem": seed,
        "beta": beta,
        "key": key(seed, beta),
        "vocabulary": len(problem.tokenizer),
        "length": problem.length,
        "replies": len(problem.replies),
        "before": outcome.before,
        "after": outcome.after,
        "seconds": time.perf_counter() - start,
    }


def key(seed: int, beta: float) -> str:
    """What a finished run must have been run with to be kept."""
    files = [ROOT / "rlhf_tutorial" / name for name in SOURCE]
    source = [file.read_text(encoding="utf-8") for file in files]
    text = json.dumps([asdict(CONVERGED), seed, beta, *source])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def table(runs: list[dict]) -> str:
    """One line a problem: how far from the optimum before training and after it, by beta."""
    found = {(row["problem"], row["beta"]): row for row in runs}
    header = ["problem", "tokens", "length", "replies"]
    header += [f"β = {beta:g}" if beta else "KL off" for beta in BETAS]
    rows = []
    for seed in sorted({row["problem"] for row in runs}):
        any_run = next(row for row in runs if row["problem"] == seed)
        cells = [str(seed), *(str(any_run[name]) for name in ("vocabulary", "length", "replies"))]
        for beta in BETAS:
            row = found.get((seed, beta))
            cells.append("–" if row is None else f"{row['before']:.3f} → {row['after']:.4f}")
        rows.append(cells)
    worst = ["worst", "", "", ""]
    near = [f"within {NEAR}", "", "", ""]
    for beta in BETAS:
        ends = [row["after"] for row in runs if row["beta"] == beta]
        worst.append(f"{max(ends):.4f}" if ends else "–")
        near.append(f"{sum(end <= NEAR for end in ends)} of {len(ends)}" if ends else "–")
    return reporting.markdown_table(header, [*rows, worst, near])


def note(runs: list[dict]) -> str:
    """What was run, in a sentence, and how long it took."""
    seconds = sum(row["seconds"] for row in runs)
    return (
        f"Total variation from the optimum, before → after training, the worse of two prompts. "
        f"{len(runs)} runs of {CONVERGED.steps} steps of {CONVERGED.batch_size} replies, one seed "
        f"each, the same settings for all (`closed_form.CONVERGED`); {seconds / 60:.0f} minutes "
        f"with {torch.get_num_threads()} thread(s)."
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Hold PPO against optima that can be computed.")
    parser.add_argument("--problems", type=int, nargs="+", default=list(PROBLEMS))
    parser.add_argument("--seconds", type=float, default=float("inf"), help="start no run after")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "closed_form.jsonl")
    parser.add_argument("--print-only", action="store_true", help="leave docs/benchmarks.md alone")
    arguments = parser.parse_args()
    start = time.perf_counter()
    done = finished_runs(arguments.out)
    runs = []
    for seed in arguments.problems:
        for beta in BETAS:
            row = done.get(key(seed, beta))
            if row is None and time.perf_counter() - start < arguments.seconds:
                row = run(seed, beta)
                keep(arguments.out, row)
                print(
                    f"[closed form] problem {seed}, beta {beta:g}: {row['before']:.3f} → "
                    f"{row['after']:.4f} ({row['seconds']:.0f} s)",
                    flush=True,
                )
            runs += [row] if row else []
    if not runs:
        raise SystemExit("no run finished: give more --seconds")
    print(table(runs))
    if not arguments.print_only:
        page = ROOT / "docs" / "benchmarks.md"
        reporting.fill_sections(page, {SECTION: f"{table(runs)}\n\n{note(runs)}"})
    far = [row for row in runs if row["beta"] > 0 and row["after"] > NEAR]
    for row in far:
        print(f"[closed form] problem {row['problem']}, beta {row['beta']:g} is beyond {NEAR}")
    return 1 if far else 0


if __name__ == "__main__":
    sys.exit(main())
