"""What is said before PPO starts where rankings do not carry a reward model.

Two questions. Does the reward model order rankings that it has not read better than a coin? And
where a reader's own rankings joined the colleagues': would anything be learnt from those alone? In
the crowd of the others nobody would notice that they are noise.
"""

from __future__ import annotations

from collections.abc import Sequence

from rlhf_tutorial import own_taste, reward, reward_trust, stages
from rlhf_tutorial.preferences import Ranking
from rlhf_tutorial.village import reviews


def doubt_about(reward_model: stages.Artefact, held_out: Sequence[Ranking]) -> str:
    """A sentence if a reward model does no better than a coin on held-out rankings; else ""."""
    scores = reward.score_rankings(reward_model.model(), reward_model.tokenizer(), held_out)
    try:
        reward_trust.expect_carried(reward_trust.agreement(scores, held_out))
    except reward_trust.RewardNotLearntError as error:
        return f"Before PPO starts: {error}. The run goes on all the same."
    return ""


def doubt_about_own(sft: stages.Artefact, mine: Sequence[Ranking], *, seed: int) -> str:
    """A sentence if a reader's rankings alone say no more than a coin would, or are too few to say.

    Cross-validated with what each kind of remark is worth to them (`own_taste.first_guess`), which
    takes seconds. Else "". Rankings without a pair are passed over.
    """
    count = len(reward_trust.prompts_with_a_pair(mine))
    if count < reward_trust.FOLDS:
        return (
            f"You have a preference on {count} of your items: whether they hold a taste can be "
            f"told from {reward_trust.FOLDS} on."
        )
    language_model, tokenizer, kinds = sft.model(), sft.tokenizer(), reviews.kinds_of_words()

    def fit(training: list[Ranking]):
        model = own_taste.first_guess(language_model, tokenizer, training, kinds=kinds, seed=seed)
        return lambda held_out: reward.score_rankings(model, tokenizer, held_out)

    try:
        reward_trust.expect_carried(reward_trust.held_out_agreement(fit, mine, seed=seed))
    except reward_trust.RewardNotLearntError as error:
        return f"Your own rankings, taken alone: {error}."
    return ""
