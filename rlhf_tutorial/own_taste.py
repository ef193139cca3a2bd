"""A reward model of one person's own, from few rankings: the way that fails and the one that holds.

Fifty rankings hold some three hundred pairs. A score with a million weights explains three hundred
pairs in many ways, most of them manners, and PPO follows whichever was found. So most of a reply is
read before the first ranking: what people would remark on it, how long it is, what the colleagues'
reward model thinks of it. These are its parts. Only what each part is worth to this one person, two
dozen numbers, is learnt from their rankings. The sum then teaches a reward model on many replies
that nobody has ranked.

Source: a person's reward as a weighted sum of what is known beforehand, of which only the weights
are theirs, Shenfeld et al. 2025, arXiv 2503.06358; parts with names, Wang et al. 2024, arXiv
2406.12845. Simplified: the items to rank are not chosen to tell the weights apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from rlhf_tutorial import reward
from rlhf_tutorial.models import build_reward_model
from rlhf_tutorial.preferences import Ranking, pairs
from rlhf_tutorial.reward_head import best_worths, end_states, fit_head, kind_chances
from rlhf_tutorial.reward_student import learn_scores
from rlhf_tutorial.sft import encode_replies

NAIVE, FROM_PARTS = "naive", "from parts"
METHODS = (NAIVE, FROM_PARTS)
LENGTH, COLLEAGUES = "length", "colleagues"  # two parts of a reply, beside the kinds of remark
VALIDATION = 0.2  # share of the prompts that say when to stop training naively
# Fifty rankings are read more often than three hundred, in smaller steps, and looked at sooner:
# with the settings for three hundred, training ended after 15 updates, before it had begun. They
# say less about the worth of each remark, too, so the penalty is larger.
FEW = reward.RewardSettings(epochs=16, rankings_per_step=8, evaluate_every=5, head_penalty=0.01)
LENGTH_UNIT = 30.0  # tokens; so that lengths differ by some tenths, as chances do
PARTS_PENALTY = 0.003  # nats, on the sum of squared worths


@dataclass(frozen=True)
class Parts:
    """What is known of some replies before anybody ranks them."""

    rows: list[list[int]]  # tokens of prompt and reply
    states: torch.Tensor  # (replies, width): the SFT trunk's at the end token
    names: list[str]
    values: torch.Tensor  # (replies, parts)


def read_parts(
    model,
    colleagues,
    tokenizer,
    prompts: Sequence,
    replies: Sequence[str],
    kinds: Mapping[str, Sequence[str]],
) -> Parts:
    """The parts of replies; each belongs to the prompt at its place.

    `model` is a reward model on the SFT trunk, which still foresees remarks; `colleagues` that of
    other people; `kinds` as in `reward_head.fit_head`. Raises ValueError when a text is too long.
    """
    rows = reward.encode_pairs(tokenizer, prompts, replies)
    theirs = reward.score_ids(colleagues, rows, tokenizer.pad_token_id, standardise=True)
    states = end_states(model, rows, tokenizer.pad_token_id)
    names, chances = kind_chances(model, tokenizer, states, kinds)
    lengths = torch.tensor([float(len(ids)) for ids in encode_replies(tokenizer, replies)])
    more = torch.stack([lengths / LENGTH_UNIT, theirs], dim=1)
    values = torch.cat([chances, more.to(chances.device)], dim=1)
    return Parts(rows, states, [*names, LENGTH, COLLEAGUES], values)


def fit_worths(parts: Parts, mine: Sequence[Ranking]) -> torch.Tensor:
    """What each part is worth `(parts,)` to the person who made these rankings, in log-odds.

    `parts` are those of all replies of all rankings, in order.
    """
    sizes = [len(ranking.replies) for ranking in mine]
    return best_worths(
        parts.values, sizes, lambda scores: reward.mean_loss(scores, mine), penalty=PARTS_PENALTY
    )


def worths(
    sft, colleagues, tokenizer, mine: Sequence[Ranking], *, kinds, seed: int
) -> dict[str, float]:
    """What each part of a reply is worth to whoever ranked, by name; in log-odds a unit.

    Units: certainty of a kind of remark, `LENGTH_UNIT` tokens, a standard deviation of the
    colleagues' scores. Raises ValueError when no ranking holds a pair.
    """
    model = build_reward_model(sft, tokenizer, seed=seed)
    mine = with_a_pair(mine)
    parts = read_parts(model, colleagues, tokenizer, *reward.prompts_and_replies(mine), kinds)
    return dict(zip(parts.names, fit_worths(parts, mine).tolist(), strict=True))


def with_a_pair(rankings: Sequence[Ranking]) -> list[Ranking]:
    """The rankings in which one reply is preferred to another; ValueError where there is none."""
    found = [ranking for ranking in rankings if pairs(ranking)]
    if not found:
        raise ValueError(
            f"none of {len(rankings)} rankings prefers one reply to another, so they hold no "
            "taste: rank more items"
        )
    return found


def first_guess(sft, tokenizer, mine: Sequence[Ranking], *, kinds, seed: int):
    """A reward model of what each kind of remark is worth to one person, with no training after.

    It takes a second and needs no colleagues. `sft` stays as it is. Raises ValueError when a
    ranking holds no pair.
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

    `naive` gives the SFT model `sft` a score and teaches it these rankings alone, with `settings`.
    `from parts` learns what each part of a reply is worth to this person, and teaches the sum to
    a reward model on `unranked` pairs of prompt and reply and on the ranked ones. Neither `sft` nor
    `colleagues` is changed. Scores of such models differ in scale, so standardise them for PPO.

    Raises:
        ValueError: unknown method, or no ranking holds a pair.
    """
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}: choose one of {', '.join(METHODS)}")
    model = build_reward_model(sft, tokenizer, seed=seed)
    mine = with_a_pair(mine)
    if method == NAIVE:
        reward.train_reward_model(
            model, tokenizer, mine, settings, validation=VALIDATION, seed=seed
        )
        return model
    prompts, replies = reward.prompts_and_replies(mine)
    worth = fit_worths(read_parts(model, colleagues, tokenizer, prompts, replies, kinds), mine)
    prompts += [prompt for prompt, _ in unranked]
    replies += [reply for _, reply in unranked]
    parts = read_parts(model, colleagues, tokenizer, prompts, replies, kinds)
    wanted = parts.values @ worth
    wanted = (wanted - wanted.mean()) / wanted.std().clamp_min(1e-6)
    learn_scores(model, tokenizer, parts.rows, parts.states, wanted, seed=seed)
    model.config.reward_mean, model.config.reward_std = 0.0, 1.0  # as it was taught
    return model


def fit_of(method: str, sft, colleagues, tokenizer, *, kinds, seed: int) -> Callable:
    """What cross-validation asks of a method (`reward_trust.Fit`): from rankings to an opinion.

    The returned function learns from a list of rankings and returns another one, from unseen
    rankings to their scores, one tensor `(replies,)` each. *From parts* answers with the sum of the
    parts itself, not with the model that it teaches: that takes seconds. Raises as `train`.
    """
    if method != FROM_PARTS:

        def fit(training: Sequence[Ranking]):
            model = train(method, sft, colleagues, tokenizer, training, kinds=kinds, seed=seed)
            return lambda unseen: reward.score_rankings(model, tokenizer, unseen)

        return fit

    model = build_reward_model(sft, tokenizer, seed=seed)

    def parts_of(rankings: Sequence[Ranking]) -> Parts:
        return read_parts(
            model, colleagues, tokenizer, *reward.prompts_and_replies(rankings), kinds
        )

    def fit_sum(training: Sequence[Ranking]):
        training = with_a_pair(training)
        worth = fit_worths(parts_of(training), training)

        def score(unseen: Sequence[Ranking]) -> list[torch.Tensor]:
            sizes = [len(ranking.replies) for ranking in unseen]
            return list((parts_of(unseen).values @ worth).cpu().split(sizes))

        return score

    return fit_sum
