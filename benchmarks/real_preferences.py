"""Reward models trained from scratch on preferences that nobody of this project wrote.

    python benchmarks/real_preferences.py [polite] [oasst] [--seeds 0 1 2] [--data FOLDER]

For each data set, split and seed: a tokenizer and a new 2 M model are trained on the training part
only (no pretraining), and judged by the share of held-out pairs whose preferred reply scores
higher. Beside it on the same split stand two rivals that a reward model has to be compared with:
"the longer (or shorter) reply wins", and a logistic regression on bags of words. Held-out parts
share no prompt with the training part, and for OpenAssistant no tree.

Intervals are 95 % bootstrap intervals over prompts (over trees for OpenAssistant), since pairs of
one prompt are not independent. The data stays where it is: `--data`, or the environment variable
RLHF_TUTORIAL_REAL_DATA, or the folder `shared/data` beside the checkout.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parents[1]))

from rlhf_tutorial.datasets_io import read_oasst, read_polite_pairs
from rlhf_tutorial.models import build_language_model, build_reward_model
from rlhf_tutorial.preferences import Ranking, pairs
from rlhf_tutorial.reward import RewardSettings, score_rankings, train_reward_model
from rlhf_tutorial.tokenizer import encode_texts, train_tokenizer

HELD_OUT = 0.2  # share of the prompts (or trees)
VALIDATION = 0.1  # share of the training prompts that decides when to stop


@dataclass(frozen=True)
class Task:
    """One data set and the settings that suit its size."""

    file: str
    read: Callable[[Path], list[Ranking]]
    context: int  # tokens; longer prompts lose their beginning, longer replies their end
    prompt_tokens: int  # at most, of the context
    settings: RewardSettings


TASKS = {
    "polite": Task(
        file="polite_preference_1100.json",
        read=read_polite_pairs,
        context=256,
        prompt_tokens=96,
        # 25 steps an epoch: about 150 steps of 32 pairs, as in the trial that reached 0.88.
        settings=RewardSettings(
            epochs=6, rankings_per_step=32, learning_rate=1e-3, evaluate_every=15, patience=10
        ),
    ),
    "oasst": Task(
        file="oasst_en_100_trees.jsonl",
        read=read_oasst,
        context=512,
        prompt_tokens=96,
        # 150 rankings only, and most of what they hold is noise: few passes, small steps.
        settings=RewardSettings(
            epochs=6, rankings_per_step=16, learning_rate=3e-4, evaluate_every=4, patience=6
        ),
    ),
}


def data_folder(given: str | None = None) -> Path | None:
    """The folder with the real data, or None when there is none."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(given or os.environ.get("RLHF_TUTORIAL_REAL_DATA") or beside)
    return folder if folder.is_dir() else None


def cluster(ranking: Ranking) -> str:
    """What must not stand on both sides of a split: the first message of the talk."""
    return ranking.prompt if isinstance(ranking.prompt, str) else ranking.prompt[0]["content"]


def split(rankings: Sequence[Ranking], seed: int) -> tuple[list[Ranking], list[Ranking]]:
    """Training and held-out rankings that share no cluster."""
    clusters = sorted({cluster(ranking) for ranking in rankings})
    order = torch.randperm(len(clusters), generator=torch.Generator().manual_seed(seed)).tolist()
    out = {clusters[index] for index in order[: round(HELD_OUT * len(clusters))]}
    return (
        [ranking for ranking in rankings if cluster(ranking) not in out],
        [ranking for ranking in rankings if cluster(ranking) in out],
    )


def outcomes(scores: Sequence[torch.Tensor], rankings: Sequence[Ranking]) -> dict[str, list[float]]:
    """1, 0 or (equal scores) a half for each pair, by cluster."""
    found: dict[str, list[float]] = defaultdict(list)
    for values, ranking in zip(scores, rankings, strict=True):
        for winner, loser in pairs(ranking):
            difference = float(values[winner] - values[loser])
            found[cluster(ranking)].append(0.5 + 0.5 * (difference > 0) - 0.5 * (difference < 0))
    return found


def accuracy_with_interval(found: dict[str, list[float]]) -> tuple[float, float, float]:
    """Share of pairs right, and its 95 % interval by resampling clusters."""
    sums = torch.tensor([[sum(values), len(values)] for values in found.values()])
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randint(len(sums), (2000, len(sums)), generator=generator)
    right, count = sums[drawn].sum(dim=1).T
    low, high = torch.quantile(right / count, torch.tensor([0.025, 0.975])).tolist()
    return float(sums[:, 0].sum() / sums[:, 1].sum()), low, high


def length_scores(training: Sequence[Ranking], rankings: Sequence[Ranking]) -> list[torch.Tensor]:
    """Score = length in characters, or its negative where shorter replies won in training."""

    def lengths(ranking: Ranking) -> torch.Tensor:
        return torch.tensor([float(len(reply)) for reply in ranking.replies])

    longer_won = [
        float(torch.sign(lengths(ranking)[winner] - lengths(ranking)[loser]))
        for ranking in training
        for winner, loser in pairs(ranking)
    ]
    sign = 1.0 if sum(longer_won) >= 0 else -1.0
    return [sign * lengths(ranking) for ranking in rankings]


def words(text: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]", text.lower())


def bag_of_words_scores(
    training: Sequence[Ranking], rankings: Sequence[Ranking], seed: int = 0
) -> list[torch.Tensor]:
    """Logistic regression on bags of words; its weight decay is chosen inside the training part."""
    fitted, validation = split(training, seed)
    candidates = {
        decay: fit_bag_of_words(fitted, validation, decay) for decay in (1e-3, 3e-3, 1e-2, 3e-2)
    }
    best = max(
        candidates,
        key=lambda decay: accuracy_with_interval(outcomes(candidates[decay], validation))[0],
    )
    return fit_bag_of_words(training, rankings, best)


def fit_bag_of_words(
    training: Sequence[Ranking], rankings: Sequence[Ranking], decay: float
) -> list[torch.Tensor]:
    """Bradley-Terry model, linear in log(1 + count) of each word seen twice; fitted by L-BFGS."""
    seen = Counter(
        w for ranking in training for reply in ranking.replies for w in set(words(reply))
    )
    column = {word: index for index, (word, n) in enumerate(seen.items()) if n >= 2}
    column = {word: index for index, word in enumerate(column)}

    def features(ranking: Ranking) -> torch.Tensor:
        table = torch.zeros(len(ranking.replies), len(column))
        for row, reply in enumerate(ranking.replies):
            for word, count in Counter(words(reply)).items():
                if word in column:
                    table[row, column[word]] = count
        return table.log1p()

    differences = torch.stack(
        [
            table[winner] - table[loser]
            for ranking in training
            for table in [features(ranking)]
            for winner, loser in pairs(ranking)
        ]
    )
    weights = torch.zeros(len(column), requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = -F.logsigmoid(differences @ weights).mean() + decay * weights.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    with torch.no_grad():
        return [features(ranking) @ weights for ranking in rankings]


def shorten(tokenizer, ranking: Ranking, task: Task) -> Ranking:
    """The ranking with texts that fit the model: the end of the prompt, the start of replies."""
    prompt = ranking.prompt if isinstance(ranking.prompt, str) else ranking.prompt[-1]["content"]
    reply_tokens = task.context - task.prompt_tokens - 8  # room for role and end tokens

    def cut(text: str, limit: int, *, keep_end: bool) -> str:
        ids = encode_texts(tokenizer, [" " + text])[0]
        if len(ids) <= limit:
            return text
        ids = ids[-limit:] if keep_end else ids[:limit]
        return tokenizer.decode(ids).strip().replace("\N{REPLACEMENT CHARACTER}", "")

    return Ranking(
        id=ranking.id,
        prompt=cut(prompt, task.prompt_tokens, keep_end=True) or "...",
        replies=[cut(reply, reply_tokens, keep_end=False) for reply in ranking.replies],
        tiers=ranking.tiers,
        annotator=ranking.annotator,
    )


def reward_model_scores(
    training: Sequence[Ranking], held_out: Sequence[Ranking], task: Task, seed: int, size: str
) -> tuple[list[torch.Tensor], dict]:
    """Scores of a reward model trained from scratch on `training`, and facts about the run."""
    begin = time.perf_counter()
    texts = [text for r in training for text in [*r.replies, cluster(r)]]
    tokenizer = train_tokenizer(texts)
    language_model = build_language_model(size, tokenizer, seed=seed, context=task.context)
    model = build_reward_model(language_model, tokenizer, seed=seed)
    short = [shorten(tokenizer, ranking, task) for ranking in training]
    history = train_reward_model(
        model, tokenizer, short, task.settings, validation=VALIDATION, seed=seed
    )
    scores = score_rankings(model, tokenizer, [shorten(tokenizer, r, task) for r in held_out])
    facts = {
        "steps": len(history),
        "best_step": history[-1]["best_step"],
        "seconds": time.perf_counter() - begin,
    }
    return scores, facts


def run(name: str, folder: Path, seed: int, size: str = "2m") -> dict:
    """One line of the table: three judges on one split."""
    task = TASKS[name]
    rankings = task.read(folder / task.file)
    training, held_out = split(rankings, seed)
    scores, facts = reward_model_scores(training, held_out, task, seed, size)
    judged = {
        "reward model": scores,
        "length": length_scores(training, held_out),
        "bag of words": bag_of_words_scores(training, held_out, seed),
    }
    row = {"data": name, "seed": seed, **facts}
    row["training_pairs"] = sum(len(pairs(ranking)) for ranking in training)
    row["held_out_pairs"] = sum(len(pairs(ranking)) for ranking in held_out)
    for judge, values in judged.items():
        row[judge] = accuracy_with_interval(outcomes(values, held_out))
    return row


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", nargs="*", metavar="polite|oasst", help="which (default: both)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--data", dest="folder", help="folder with the real data")
    arguments = parser.parse_args()
    names = arguments.data or list(TASKS)
    if unknown := [name for name in names if name not in TASKS]:
        parser.error(f"unknown data {unknown[0]!r}: choose from {', '.join(TASKS)}")
    folder = data_folder(arguments.folder)
    if folder is None:
        print("no real data: set RLHF_TUTORIAL_REAL_DATA or pass --data FOLDER", file=sys.stderr)
        return 2
    judges = ("reward model", "length", "bag of words")
    print("| data | seed | pairs: training, held-out | steps (best) | seconds |", end="")
    print("".join(f" {judge} |" for judge in judges))
    print("|---" * (5 + len(judges)) + "|")
    for name in names:
        for seed in arguments.seeds:
            row = run(name, folder, seed)
            cells = [name, seed, f"{row['training_pairs']}, {row['held_out_pairs']}"]
            cells += [f"{row['steps']} ({row['best_step']})", f"{row['seconds']:.0f}"]
            for judge in judges:
                mean, low, high = row[judge]
                cells.append(f"{mean:.3f} [{low:.2f}, {high:.2f}]")
            print("| " + " | ".join(map(str, cells)) + " |", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
