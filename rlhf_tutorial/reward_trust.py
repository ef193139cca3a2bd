"""Whether rankings carry a reward model: if not, PPO would follow noise.

A reward model is asked about rankings that it has not seen. What it gets right there, with an
interval, is compared with a coin. Few rankings are held out in turns (`held_out_agreement`).

Simplified: folds share no prompt, yet two prompts may come from one template.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from rlhf_tutorial import evaluation, reward
from rlhf_tutorial.preferences import Ranking, pairs

FOLDS = 5

# (training rankings) -> a function from rankings to one tensor of scores each
Fit = Callable[[list[Ranking]], Callable[[Sequence[Ranking]], list[torch.Tensor]]]


class RewardNotLearntError(ValueError):
    """The rankings do not carry a reward model; says how it was seen and what to do."""


def agreement(
    scores: Sequence[torch.Tensor], rankings: Sequence[Ranking]
) -> dict[str, float | int]:
    """Share of a ranking's pairs that the scores order as the person did, averaged over rankings.

    `scores` holds one tensor `(replies,)` a ranking; a ranking without a pair is left out. Returns
    {"mean", "low", "high", "n"}: a 95 % interval clustered by prompt, n in rankings.
    """
    shares, prompts = [], []
    for values, ranking in zip(scores, rankings, strict=True):
        if pairs(ranking):
            shares.append(reward.accuracy([values], [ranking]))
            prompts.append(repr(ranking.prompt))
    return evaluation.clustered_interval(shares, prompts)


def prompts_with_a_pair(rankings: Sequence[Ranking]) -> list[str]:
    """The different prompts, as `repr` writes them, on which somebody prefers a reply to another.

    Cross-validation deals these out, so it takes at least `FOLDS` of them.
    """
    return list(dict.fromkeys(repr(ranking.prompt) for ranking in rankings if pairs(ranking)))


def held_out_agreement(
    fit: Fit, rankings: Sequence[Ranking], *, folds: int = FOLDS, seed: int
) -> dict[str, float | int]:
    """`agreement` of reward models with rankings on prompts that they never saw.

    The prompts are dealt out to `folds` parts. For each part `fit` trains on the others, and what
    it returns scores the part (cross-validation: Stone, 1974).

    Raises:
        ValueError: there are fewer prompts with a pair than folds.
    """
    ranked = [ranking for ranking in rankings if pairs(ranking)]
    prompts = prompts_with_a_pair(rankings)
    if not 2 <= folds <= len(prompts):
        raise ValueError(
            f"{len(prompts)} prompts with a pair cannot be dealt out to {folds} folds: "
            "rank more prompts, or take fewer folds (at least 2)"
        )
    order = torch.randperm(len(prompts), generator=torch.Generator().manual_seed(seed)).tolist()
    fold_of = {prompts[index]: place % folds for place, index in enumerate(order)}
    scores: list[torch.Tensor] = []
    scored: list[Ranking] = []
    for fold in range(folds):
        held_out = [r for r in ranked if fold_of[repr(r.prompt)] == fold]
        score = fit([r for r in ranked if fold_of[repr(r.prompt)] != fold])
        scores += score(held_out)
        scored += held_out
    return agreement(scores, scored)


def expect_carried(measured: dict[str, float | int]) -> None:
    """Pass in silence if an `agreement` lies above chance with its whole interval.

    Raises:
        RewardNotLearntError: the interval includes a half, which a coin reaches too.
    """
    if measured["low"] <= 0.5:
        raise RewardNotLearntError(
            "these rankings do not carry a reward model: on prompts that it had not seen it "
            f"ordered {measured['mean']:.0%} of the pairs as people did (95 % interval "
            f"{measured['low']:.0%} to {measured['high']:.0%}, and a coin reaches 50 %), so PPO "
            "would follow noise; rank more items, or learn on top of colleagues' rankings"
        )
