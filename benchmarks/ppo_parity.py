"""Where 60 steps of PPO end, here and in TRL 1.12: judged, and shown with intervals."""

from __future__ import annotations

import hashlib
import json
import math
import statistics
from pathlib import Path

import torch

from rlhf_tutorial import bench_table, evaluation, models, reporting, stages_run
from rlhf_tutorial.reward import score_rollout
from rlhf_tutorial.sampling import reply_logprobs, sample
from rlhf_tutorial.village import gold

ROOT = Path(__file__).resolve().parents[1]
REPLIES = 4  # to each prompt, so that the sampling of replies adds little noise
RUNS = {"ours": "ours", "network": "ours, value network", "trl": "TRL"}  # what is set side by side
BOTH = ("benchmarks/ppo_sides.py", "benchmarks/ppo_tasks.py")
PARTS = ("ppo", "ppo_math", "policy_with_value", "replies", "sampling", "decoding", "reward")
OURS = BOTH + tuple(f"rlhf_tutorial/{name}.py" for name in PARTS)
SOURCES = {"ours": OURS, "network": OURS, "trl": BOTH}  # what decides a run's row
MEASURES = {"gold": "gold reward", "kl": "KL", "score": "reward model"}


def key(run: str, seed: int, settings: dict, weights: str) -> str:
    """What a finished run must have been run with to be kept."""
    source = [(ROOT / name).read_text(encoding="utf-8") for name in SOURCES[run]]
    text = json.dumps([run, seed, settings, weights, REPLIES, *source], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def evaluate(folder: Path, shared, seed: int) -> dict[str, float]:
    """`judged` of the policy in a folder."""
    policy = models.load_language_model(Path(folder), shared.tokenizer)
    return judged(policy, shared, seed)


@torch.no_grad()
def kl_from(reference, rollout) -> float:
    """KL from a model of the policy that sampled, in nats a reply: k1, mean over the replies."""
    return (rollout.logprobs - reply_logprobs(reference, rollout)).sum(1).mean().item()


@torch.no_grad()
def judged(policy, shared, seed: int) -> dict[str, float]:
    """Gold reward and KL from SFT of a policy, by our sampler at temperature 1.

    KL is the mean over replies of the log-probability under the policy less that under SFT (k1),
    in nats a reply. `shared` is the `ppo_tasks.Models` that the policy started from.
    """
    asked = stages_run.test_prompts(shared.preset.test_prompts, split="development")
    rollout = sample(
        policy,
        shared.tokenizer,
        [prompt.text for prompt in asked],
        replies_per_prompt=REPLIES,
        max_new_tokens=shared.preset.max_new_tokens,
        seed=seed,
    )
    repeated = [prompt for prompt in asked for _ in range(REPLIES)]
    records = evaluation.score_replies(repeated, rollout.texts, gold.judge)
    return {
        "gold": statistics.fmean(record.gold for record in records),
        "kl": kl_from(shared.reference, rollout),
        "score": score_rollout(shared.reward_model, shared.tokenizer, rollout).mean().item(),
        "tokens": rollout.reply_mask.sum(1).float().mean().item(),
        "finished": rollout.finished.float().mean().item(),
    }


def mean_interval(values: list[float], confidence: float = 0.95) -> dict[str, float]:
    """Mean of independent values with Student's interval; infinitely wide for a single one."""
    mean, reach = statistics.fmean(values), math.inf
    if len(values) > 1:
        error = statistics.stdev(values) / math.sqrt(len(values))
        reach = error * evaluation.t_quantile(0.5 + confidence / 2, len(values) - 1)
    return {"mean": mean, "low": mean - reach, "high": mean + reach}


def differences(rows: list[dict], run: str, of: str) -> dict[int, float]:
    """One of our runs less TRL's by seed, where both have run."""
    found = {(row["run"], row["seed"]): row[of] for row in rows}
    seeds = sorted({seed for _, seed in found})
    return {
        seed: found[run, seed] - found["trl", seed]
        for seed in seeds
        if (run, seed) in found and ("trl", seed) in found
    }


def table(rows: list[dict]) -> str:
    """One line a seed, the means, and the mean differences from TRL with their intervals."""
    found = {(row["run"], row["seed"]): row for row in rows}
    columns = [(of, run) for of in MEASURES for run in RUNS]
    lines = []
    for seed in sorted({row["seed"] for row in rows}):
        values = [found.get((run, seed), {}).get(of) for of, run in columns]
        lines.append([str(seed), *(reporting.number(value, 3) for value in values)])
    means, gaps = ["mean"], ["less TRL's [95 % interval]"]
    for of, run in columns:
        values = [row[of] for row in rows if row["run"] == run]
        means.append(reporting.number(statistics.fmean(values) if values else None, 3))
        less = [] if run == "trl" else list(differences(rows, run, of).values())
        gaps.append(reporting.interval(mean_interval(less), 3) if less else "–")
    header = ["seed", *(f"{MEASURES[of]}, {RUNS[run]}" for of, run in columns)]
    return reporting.markdown_table(header, [*lines, means, gaps])


def note(rows: list[dict], start: dict[str, float], steps: int, size: str) -> str:
    """What was run, from a model of which size, and what SFT has before it."""
    minutes = {run: [row["seconds"] / 60 for row in rows if row["run"] == run] for run in RUNS}
    took = "; ".join(
        f"{RUNS[run]} {statistics.median(values):.1f}" for run, values in minutes.items() if values
    )
    return (
        f"{steps} steps of PPO from one SFT model and one reward model (preset quick, seed 0, "
        f"{size}); the seeds are PPO's. Development prompts, {REPLIES} replies each at temperature "
        f"1, by this project's sampler for both. SFT itself: gold reward {start['gold']:.3f}, "
        f"reward model {start['score']:.3f}. KL is in nats a reply. Minutes a run (median): "
        f"{took}. Intervals are Student's, over seeds, of the paired differences. "
        f"{bench_table.machine_line()}"
    )
