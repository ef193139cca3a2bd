"""Which of many sampled replies people are shown: those that differ most.

A comparison of two replies that are alike costs a person as much time as any other and teaches
little. So more replies are sampled than shown, and of these the ones are kept that lie far apart in
what the model itself would remark on them ("Right.", "Rude.", "Wrong, not the drum."): one is right
and one is wrong, or one is kind and one is not.

Source: farthest-first traversal, Gonzalez 1985. Christiano et al. 2017, arXiv 1706.03741, chose
comparisons too, those on which several reward models disagreed. Simplified: there is no reward
model yet, so replies are told apart by the first words of remarks.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from rlhf_tutorial.reward import encode_pairs
from rlhf_tutorial.reward_head import end_states, word_chances
from rlhf_tutorial.sampling import Rollout


def remark_chances(
    model, tokenizer, prompts: Sequence, replies: Sequence[str], words: Sequence[str]
) -> torch.Tensor:
    """How likely each first word of a remark is behind each reply, `(replies, words)`.

    As in `reward_head.word_chances`; reply i answers prompt i.
    """
    rows = encode_pairs(tokenizer, prompts, replies)
    states = end_states(model, rows, tokenizer.pad_token_id)
    return word_chances(model, tokenizer, states, words)[1]


def most_unlike(replies: Sequence[str], places: torch.Tensor, count: int) -> list[str]:
    """The first reply, then again and again the one farthest from all chosen so far.

    `places` is `(replies, any)`: distance is Euclidean there. No reply comes twice; fewer than
    `count` where there are no more different ones, but two, for a ranking needs two.
    """
    left = [replies.index(reply) for reply in dict.fromkeys(replies)]
    chosen = [left.pop(0)]
    while left and len(chosen) < count:
        nearest = torch.cdist(places[left], places[chosen]).amin(1)
        chosen.append(left.pop(int(nearest.argmax())))
    return [replies[index] for index in chosen] if len(chosen) > 1 else list(replies[:2])


def most_unlike_each(
    model, tokenizer, rollout: Rollout, sampled: int, count: int, words: Sequence[str]
) -> list[list[str]]:
    """For each prompt in turn, the `count` of its `sampled` replies in a rollout that differ most.

    They are told apart by what `model` would remark; `words` are as in `remark_chances`.
    """
    chances = remark_chances(model, tokenizer, rollout.prompts, rollout.texts, words)
    return [
        most_unlike(rollout.texts[start : start + sampled], chances[start : start + sampled], count)
        for start in range(0, len(rollout), sampled)
    ]
