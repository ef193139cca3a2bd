"""What each implementation detail of PPO does: put in or taken out, one at a time.

    python benchmarks/ppo_details.py                 all runs, then the table (about an hour)
    python benchmarks/ppo_details.py --seconds 600   start no run after that; call it again
    python benchmarks/ppo_details.py --seconds 0     no run: a table of what is there

All runs start from the SFT and the reward model of the preset quick, seed 0, with that preset's
settings of PPO, but half of its steps. A detail of `ppo_detail_cases.py` is the only difference to
the run beside it, which has the same seed. Policies are judged as for parity with TRL: gold
reward, KL and score of replies to development prompts. Finished runs are kept in `--out`; what was
run with the same code, models and settings is not run again.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import math
import sys
import time
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import kept_runs, ppo_parity, ppo_tasks  # noqa: E402
from benchmarks.ppo_detail_cases import DETAILS, PUT_IN  # noqa: E402
from rlhf_tutorial import bench_table, reporting  # noqa: E402
from rlhf_tutorial.ppo import PPOSettings  # noqa: E402
from rlhf_tutorial.ppo_faults_job import Job  # noqa: E402

AS_IT_IS = "as it is"
SOURCES = [  # what decides a row
    "benchmarks/ppo_detail_cases.py",
    *(name for name in ppo_parity.SOURCES["ours"] if name.startswith("rlhf_tutorial/")),
]


def key(name: str, seed: int, settings: PPOSettings, weights: str) -> str:
    """What a finished run must have been run with to be kept."""
    source = [(ROOT / file).read_text(encoding="utf-8") for file in SOURCES]
    text = repr((name, seed, settings, weights, ppo_parity.REPLIES, source))
    return sha256(text.encode()).hexdigest()[:16]


def run(name: str, seed: int, settings: PPOSettings, models: ppo_tasks.Models) -> dict:
    """Train once with a detail; where the policy stands."""
    policy = copy.deepcopy(models.reference)
    job = Job(
        policy, models.reference, models.tokenizer, models.prompts, models.reward_model, settings
    )
    changed = DETAILS[name].change(job) if name in DETAILS else contextlib.nullcontext()
    with changed:
        history = job.run(seed)
    row = {"name": name, "seed": seed, "steps": len(history)}
    return row | ppo_parity.judged(policy, models, seed)


def gaps(rows: list[dict], name: str, of: str) -> list[float]:
    """With the detail less without it, by seed, where both have run."""
    found = {(row["name"], row["seed"]): row[of] for row in rows}
    seeds = sorted({row["seed"] for row in rows})
    return [
        found[name, seed] - found[AS_IT_IS, seed]
        for seed in seeds
        if (name, seed) in found and (AS_IT_IS, seed) in found
    ]


def mean_and_each(values: list[float], digits: int) -> str:
    """As in "+0.010 (+0.020, +0.000)"."""
    if not values:
        return "–"
    mean = sum(values) / len(values)
    return f"{mean:+.{digits}f} ({', '.join(f'{value:+.{digits}f}' for value in values)})"


def table(rows: list[dict], settings: PPOSettings) -> str:
    """One line a detail: what it adds to gold, KL and score, in each seed."""
    plain = [row for row in rows if row["name"] == AS_IT_IS]
    header = ["", "what differs", "gold reward", "KL (nats a reply)", "score"]
    lines = []
    for name, detail in DETAILS.items():
        mine = [row for row in rows if row["name"] == name]
        if not mine:
            continue
        measured = [mean_and_each(gaps(rows, name, of), 3) for of in ("gold", "kl", "score")]
        ended = [row["steps"] for row in mine if row["steps"] < settings.steps]
        words = detail.words + f" ({len(ended)} of {len(mine)} ended early)" * bool(ended)
        lines.append(["put in" if name in PUT_IN else "taken out", words, *measured])
    each = ", ".join(
        f"gold {row['gold']:.3f}, KL {row['kl']:.2f}, score {row['score']:.2f} (seed {row['seed']})"
        for row in plain
    )
    seeds = sorted({row["seed"] for row in rows})
    note = f"{len(rows)} of {len(seeds) * (len(DETAILS) + 1)} runs of {settings.steps} steps of "
    note += f"{settings.batch_size} replies. As it is: {each}. {bench_table.machine_line()}"
    return f"{reporting.markdown_table(header, lines)}\n\n{note}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[10, 11, 12])
    parser.add_argument("--steps", type=int, help="PPO steps: by default half of the preset's")
    parser.add_argument("--seconds", type=float, default=math.inf, help="start no run after")
    parser.add_argument("--artefacts", type=Path, help="where the preset's models are kept")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "ppo_details.jsonl")
    parser.add_argument("--print-only", action="store_true", help="leave docs/ppo.md alone")
    options = parser.parse_args()
    start, models = time.perf_counter(), ppo_tasks.Models(options.artefacts)
    plain = models.preset.ppo
    settings = replace(plain, steps=options.steps or plain.steps // 2)
    done, rows = kept_runs.finished_runs(options.out), []
    for seed in options.seeds:
        for name in (AS_IT_IS, *DETAILS):
            found = key(name, seed, settings, models.fingerprint)
            if found not in done:
                if time.perf_counter() - start >= options.seconds:
                    continue
                done[found] = {"key": found, **run(name, seed, settings, models)}
                done[found]["settings"] = asdict(settings)
                kept_runs.keep(options.out, done[found])
                print(f"[ppo details] {done[found]}", flush=True)
            rows.append(done[found])
    if not rows:
        raise SystemExit("no run finished: give more --seconds")
    content = table(rows, settings)
    print(content)
    if not options.print_only:
        reporting.fill_sections(ROOT / "docs" / "ppo.md", {"ppo-details": content})


if __name__ == "__main__":
    main()
