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
SOURCES = {  # what decides a side's row
    "ours": (
        "benchmarks/ppo_sides.py",
        "benchmarks/ppo_tasks.py",
        *(
            f"rlhf_tutorial/{name}.py"
            for name in ("ppo", "ppo_math", "replies", "sampling", "decoding", "reward")
        ),
    ),
    "trl": ("benchmarks/ppo_sides.py", "benchmarks/ppo_tasks.py"),
}
MEASURES = {"gold": "gold reward", "kl": "KL", "score": "reward model"}


def key(side: str, seed: int, settings: dict, weights: str) -> str:
    """What a finished run must have been run with to be kept."""
    source = [(ROOT / name).read_text(encoding="utf-8") for name in SOURCES[side]]
    text = json.dumps([side, seed, settings, weights, REPLIES, *source], sort_keys=True)
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


def differences(rows: list[dict], of: str) -> dict[int, float]:
    """Ours less TRL's by seed, where both have run."""
    found = {(row["side"], row["seed"]): row[of] for row in rows}
    seeds = sorted({seed for _, seed in found})
    return {
        seed: found["ours", seed] - found["trl", seed]
        for seed in seeds
        if ("ours", seed) in found and ("trl", seed) in found
    }


def table(rows: list[dict]) -> str:
    """One line a seed, and the mean differences with their intervals."""
    found = {(row["side"], row["seed"]): row for row in rows}
    header = ["seed"]
    for words in MEASURES.values():
        header += [f"{words}, ours", "TRL", "ours − TRL"]
    lines = []
    for seed in sorted({row["seed"] for row in rows}):
        line = [str(seed)]
        for of in MEASURES:
            sides = [found.get((side, seed), {}).get(of) for side in ("ours", "trl")]
            both = None if None in sides else sides[0] - sides[1]
            line += [reporting.number(value, 3) for value in (*sides, both)]
        lines.append(line)
    last = ["mean [95 % interval]"]
    for of in MEASURES:
        for side in ("ours", "trl"):
            values = [row[of] for row in rows if row["side"] == side]
            last.append(reporting.number(statistics.fmean(values) if values else None, 3))
        gaps = list(differences(rows, of).values())
        last.append(reporting.interval(mean_interval(gaps), 3) if gaps else "–")
    return reporting.markdown_table(header, [*lines, last])


def note(rows: list[dict], start: dict[str, float], steps: int, size: str) -> str:
    """What was run, from a model of which size, and what SFT has before it."""
    minutes = {
        side: [row["seconds"] / 60 for row in rows if row["side"] == side] for side in SOURCES
    }
    took = ", ".join(
        f"{statistics.median(values):.1f} minutes {side}"
        for side, values in minutes.items()
        if values
    )
    return (
        f"{steps} steps of PPO from one SFT model and one reward model (preset quick, seed 0, "
        f"{size}); the seeds are PPO's. Development prompts, {REPLIES} replies each at temperature "
        f"1, by this project's sampler for both. SFT itself: gold reward {start['gold']:.3f}, "
        f"reward model {start['score']:.3f}. KL is in nats a reply. A run (median): {took}. "
        f"Intervals are Student's, over seeds, of the paired differences. "
        f"{bench_table.machine_line()}"
    )
