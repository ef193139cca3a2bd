"""A reward model of one person's own, from few rankings: the way that fails and one that holds.

Fifty rankings hold some three hundred pairs. A score that explains three hundred pairs is found in
many ways, most of them manners, and PPO follows whichever was found. Whether there is anything to
follow is told by `reward_trust.py`.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence

from rlhf_tutorial import reward
from rlhf_tutorial.models import build_reward_model
from rlhf_tutorial.preferences import Ranking

NAIVE, AFTER_COLLEAGUES = "naive", "after colleagues"
METHODS = (NAIVE, AFTER_COLLEAGUES)
VALIDATION = 0.2  # share of the prompts that say when to stop training
# Fifty rankings are read more often than three hundred, in smaller steps, and looked at sooner:
# with the settings for three hundred, training ended after 15 updates, before it had begun.
FEW = reward.RewardSettings(epochs=16, rankings_per_step=8, evaluate_every=5)


def train(
    method: str,
    sft,
    colleagues,
    tokenizer,
    mine: Sequence[Ranking],
    settings: reward.RewardSettings = FEW,
    *,
    seed: int,
):
    """A reward model that has learnt from one person's rankings.

    `naive` gives the SFT model `sft` a score and teaches it these rankings alone. `after
    colleagues` goes on from their reward model, at half the learning rate: what all people share
    is known already, and only what is this person's own must be learnt. Which way serves a person
    better depends on how far they are from the others: held-out agreement says. Neither `sft` nor
    `colleagues` is changed. Scores of such models differ in scale, so standardise them for PPO.

    Raises:
        ValueError: unknown method, or no ranking holds a pair.
    """
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}: choose one of {', '.join(METHODS)}")
    if method == NAIVE:
        model = build_reward_model(sft, tokenizer, seed=seed)
    else:
        model = copy.deepcopy(colleagues)
        settings = dataclasses.replace(settings, learning_rate=settings.learning_rate / 2)
    reward.train_reward_model(model, tokenizer, mine, settings, validation=VALIDATION, seed=seed)
    return model
