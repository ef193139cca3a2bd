"""The benchmark of PPO's details: each changes the run, does what it says, and leaves nothing."""

from __future__ import annotations

import contextlib
import copy
from dataclasses import replace
from unittest.mock import patch

import pytest
import torch
from test_ppo_faults import PROMPTS, policy_that_ends
from tiny import tiny_reward_model, tiny_tokenizer

from benchmarks import ppo_detail_cases as cases
from benchmarks import ppo_details
from rlhf_tutorial import ppo
from rlhf_tutorial.policy_with_value import PolicyWithValue
from rlhf_tutorial.ppo_faults_job import Job
from rlhf_tutorial.replies import Replies, ReplyForward
from rlhf_tutorial.sampling import sample

SETTINGS = ppo.PPOSettings(
    steps=3, batch_size=24, max_new_tokens=12, learning_rate=1e-2, max_gradient_norm=0.01
)
PATCHED = ["ReplyForward", "assess", "ppo_loss", "sample", "set_rates", "shuffled_epochs", "whiten"]


def job(settings=SETTINGS, prompts=PROMPTS) -> Job:
    policy, tokenizer = policy_that_ends(), tiny_tokenizer()
    reward_model = tiny_reward_model(tokenizer, seed=1)
    parts = (policy, copy.deepcopy(policy), tokenizer, prompts, reward_model, settings)
    return Job(*parts)


def weights(model) -> torch.Tensor:
    return torch.cat([weight.detach().flatten() for weight in model.parameters()])


def run(mine: Job, name: str | None) -> list[dict]:
    with cases.DETAILS[name].change(mine) if name else contextlib.nullcontext():
        return mine.run(seed=0)


def trained(name: str | None, settings=SETTINGS, prompts=PROMPTS) -> torch.Tensor:
    mine = job(settings, prompts)
    plain = [getattr(ppo, part) for part in PATCHED], mine.policy, mine.reward, mine.settings
    assert len(run(mine, name)) == settings.steps
    after = [getattr(ppo, part) for part in PATCHED], mine.policy, mine.reward, mine.settings
    assert after == plain
    return weights(mine.policy)


@pytest.fixture(scope="module")
def plain() -> torch.Tensor:
    return trained(None)


@pytest.mark.parametrize("name", cases.DETAILS)
def test_each_detail_changes_the_run_and_leaves_nothing_behind(name, plain):
    settings, prompts = SETTINGS, PROMPTS
    if name == "gains":  # a rate of its own is what it takes away
        settings = replace(SETTINGS, final_norm_learning_rate=0.1)
        plain = trained(None, settings)
    if name == "value clip":  # a value must have moved by more than the clip
        settings = replace(SETTINGS, value_clip=1e-3)
        plain = trained(None, settings)
    if name == "whole batches":  # a batch and a half
        prompts = PROMPTS * 3
        plain = trained(None, settings, prompts)
    assert not torch.equal(trained(name, settings, prompts), plain)


@pytest.mark.parametrize("lam", [1.0, 0.5])
def test_a_score_after_the_end_is_the_same_return_a_place_later(lam):
    """With values of 0 and λ = 1 no advantage changes; with λ = 0.5 the score arrives halved."""
    mine = job(replace(SETTINGS, lam=lam, whiten_advantages=False))
    rollout = sample(mine.policy, mine.tokenizer, PROMPTS, max_new_tokens=12, seed=0)
    net = ReplyForward(mine.policy, PolicyWithValue(mine.policy).value_head)
    parts = net, ReplyForward(mine.reference), Replies.of(rollout, "cpu"), rollout
    parts += torch.arange(1.0, len(PROMPTS) + 1), 0.0, mine.settings
    plain = ppo.assess(*parts)
    with cases.after_the_end(mine):
        shifted = ppo.assess(*parts)
    full = rollout.reply_mask.sum(1, keepdim=True) == 12  # these have no place more
    assert full.any() and not full.all()
    expected = torch.where(full, 1.0, lam) * plain.advantages
    torch.testing.assert_close(shifted.advantages, expected)
    places = shifted.longer.mask.sum(1) - shifted.replies.mask.sum(1)
    assert torch.equal(places, (~full[:, 0]).long())
    ends = torch.arange(len(PROMPTS)), shifted.longer.mask.sum(1) - 1
    torch.testing.assert_close(shifted.returns[ends], plain.scores)


def test_whole_batches_never_span_two_epochs():
    with cases.whole_batches(job()):
        drawn = ppo.shuffled_epochs(10, 4, seed=0)
        epochs = [next(drawn) + next(drawn) for _ in range(5)]
        assert all(len(set(epoch)) == 8 for epoch in epochs)
        assert len({tuple(epoch) for epoch in epochs}) == 5
        with pytest.raises(ValueError, match="3 prompts make no batch of 4"):
            next(ppo.shuffled_epochs(3, 4, seed=0))


def test_a_sampled_padding_token_ends_the_reply_before_it():
    mine = job()
    pad = mine.tokenizer.pad_token_id
    drawn = sample(mine.policy, mine.tokenizer, PROMPTS, max_new_tokens=12, seed=0)
    word = mine.tokenizer.encode("cat")[0]
    drawn.reply_ids[(drawn.reply_ids == pad) & drawn.reply_mask.bool()] = word
    long = (drawn.reply_mask.sum(1) >= 4).nonzero()[0, 0]
    drawn.reply_ids[long, 2] = pad
    with patch.object(ppo, "sample", lambda *parts, **options: drawn):
        with cases.padding_ends(mine):
            cut = ppo.sample(mine.policy, mine.tokenizer, PROMPTS)
    others = torch.arange(len(PROMPTS)) != long
    assert cut.reply_mask[long].tolist() == [1, 1] + [0] * (cut.reply_mask.shape[1] - 2)
    assert torch.equal(cut.reply_mask[others], drawn.reply_mask[others])


def test_an_entropy_bonus_keeps_more_entropy():
    entropies = {}
    for name in (None, "entropy bonus"):
        mine = job(replace(SETTINGS, steps=6))
        with cases.patch.object(cases, "ENTROPY_BONUS", 10.0):
            entropies[name] = run(mine, name)[-1]["policy/entropy_avg"]
    assert entropies["entropy bonus"] > entropies[None]


def test_a_cut_off_reply_scores_minus_one_whatever_it_says():
    mine = job()
    rollout = sample(mine.policy, mine.tokenizer, PROMPTS, max_new_tokens=4, seed=0)
    assert 0 < rollout.finished.sum() < len(PROMPTS)
    plain = mine.reward(rollout)
    with cases.minus_one(mine):
        scores = mine.reward(rollout)
        assert mine.settings.missing_eos_penalty == 0
    assert (scores[~rollout.finished] == -1).all()
    assert torch.equal(scores[rollout.finished], plain[rollout.finished])


def test_tables_hold_each_seeds_difference_to_the_run_beside_it():
    def row(name, seed, gold, steps=30):
        more = {"kl": 4.0, "score": 1.0, "steps": steps}
        return {"name": name, "seed": seed, "gold": gold, **more}

    rows = [
        row(ppo_details.AS_IT_IS, 10, 0.80),
        row(ppo_details.AS_IT_IS, 11, 0.82),
        row("entropy bonus", 10, 0.81),
        row("entropy bonus", 11, 0.80, steps=9),
        row("annealing", 12, 0.80),
    ]
    assert ppo_details.gaps(rows, "entropy bonus", "gold") == pytest.approx([0.01, -0.02])
    text = ppo_details.table(rows, ppo.PPOSettings(steps=30))
    assert "-0.005 (+0.010, -0.020)" in text and "1 of 2 ended early" in text
    line = next(line for line in text.splitlines() if "rates constant" in line)
    assert line.count("–") == 3  # its seed has no run beside it
