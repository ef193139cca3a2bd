"""A reward model of one person's own, from few rankings: the way that fails and two that hold.

Fifty rankings hold some three hundred pairs. A score that explains three hundred pairs is found in
many ways, most of them manners, and PPO follows whichever was found. Whoever starts from what is
known already has less to find: from what the SFT model would remark on a reply, or from what the
colleagues' reward model values. Whether there is anything to follow is told by `reward_trust.py`.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, Sequence

from rlhf_tutorial import reward
from rlhf_tutorial.models import build_reward_model
from rlhf_tutorial.preferences import Ranking
from rlhf_tutorial.reward_head import fit_head

NAIVE, FROM_REMARKS, AFTER_COLLEAGUES = "naive", "from remarks", "after colleagues"
METHODS = (NAIVE, FROM_REMARKS, AFTER_COLLEAGUES)
# Of `settings.learning_rate`: who starts from a good guess must not forget it.
PACE = {NAIVE: 1.0, FROM_REMARKS: 1 / 15, AFTER_COLLEAGUES: 1 / 2}
VALIDATION = 0.2  # share of the prompts that say when to stop training
# Fifty rankings are read more often than three hundred, in smaller steps, and looked at sooner:
# with the settings for three hundred, training ended after 15 updates, before it had begun. They
# say less about the worth of each remark, too, so the penalty is larger.
FEW = reward.RewardSettings(epochs=16, rankings_per_step=8, evaluate_every=5, head_penalty=0.01)


def first_guess(sft, tokenizer, mine: Sequence[Ranking], *, kinds, seed: int):
    """A reward model of what each kind of remark is worth to one person, with no training after.

    It takes a second, so it can be had for each part of a cross-validation. `sft` stays as it is.
    Raises ValueError when a ranking holds no pair.
    """
    model = build_reward_model(sft, tokenizer, seed=seed)
    rows = [reward.encode_pairs(tokenizer, [r.prompt] * len(r.replies), r.replies) for r in mine]
    fit_head(
        model,
        tokenizer,
        rows,
        lambda scores: reward.mean_loss(scores, mine),
        kinds,
        penalty=FEW.head_penalty,
    )
    return model


def train(
    method: str,
    sft,
    colleagues,
    tokenizer,
    mine: Sequence[Ranking],
    settings: reward.RewardSettings = FEW,
    *,
    kinds: Mapping[str, Sequence[str]],
    unranked: Sequence[tuple[str, str]] = (),
    seed: int,
):
    """A reward model that has learnt from one person's rankings.

    `naive` gives the SFT model `sft` a score and teaches it these rankings alone. `from remarks`
    does the same from a first guess: what each of the `kinds` of remark is worth to this person
    (`reward_head.py`), learnt by all weights if there are `unranked` pairs of prompt and reply to
    learn it from (`reward_student.py`). `after colleagues` goes on from their reward model, so that
    only what is this person's own must be learnt. Which way serves a person best depends on how far
    they are from the others: held-out agreement says. Neither `sft` nor `colleagues` is changed.
    Scores of such models differ in scale, so standardise them for PPO.

    Raises:
        ValueError: unknown method, or no ranking holds a pair.
    """
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}: choose one of {', '.join(METHODS)}")
    if method == AFTER_COLLEAGUES:
        model = copy.deepcopy(colleagues)
    else:
        model = build_reward_model(sft, tokenizer, seed=seed)
    reward.train_reward_model(
        model,
        tokenizer,
        mine,
        dataclasses.replace(settings, learning_rate=settings.learning_rate * PACE[method]),
        validation=VALIDATION,
        kinds=kinds if method == FROM_REMARKS else None,
        unranked=unranked,
        seed=seed,
    )
    return model
