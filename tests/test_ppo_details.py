"""The benchmark of PPO's details: each changes the run, does what it says, and leaves nothing."""

from __future__ import annotations

import contextlib
import copy
from dataclasses import replace

import pytest
import torch
from test_ppo_faults import PROMPTS, policy_that_ends
from tiny import tiny_reward_model, tiny_tokenizer

from benchmarks import ppo_detail_cases as cases
from benchmarks import ppo_details
from rlhf_tutorial import ppo
from rlhf_tutorial.ppo_faults_job import Job
from rlhf_tutorial.replies import Replies, ReplyForward
from rlhf_tutorial.reward import score_rollout
from rlhf_tutorial.sampling import sample

SETTINGS = ppo.PPOSettings(
    steps=3, batch_size=24, max_new_tokens=12, learning_rate=1e-2, max_gradient_norm=0.01
)
PATCHED = ["ReplyForward", "ppo_loss", "set_rates", "whiten"]


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


def trained(name: str | None, settings=SETTINGS) -> torch.Tensor:
    mine = job(settings)
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
    settings = SETTINGS
    if name == "gains":  # a rate of its own is what it takes away
        settings = replace(SETTINGS, final_norm_learning_rate=0.1)
        plain = trained(None, settings)
    if name == "value clip":  # a value must have moved by more than the clip
        settings = replace(SETTINGS, value_clip=1e-3)
        plain = trained(None, settings)
    assert not torch.equal(trained(name, settings), plain)


@pytest.fixture
def beside_value_network():
    """A job with a value network, what `train_ppo` makes of its policy, and some replies."""
    mine = job()
    rollout = sample(mine.policy, mine.tokenizer, PROMPTS, max_new_tokens=12, seed=0)
    with cases.value_network(mine):
        actor = mine.policy
        yield mine, ppo.ReplyForward(actor.policy, actor.value_head), rollout


def test_the_value_network_begins_as_the_reward_model(beside_value_network):
    mine, net, rollout = beside_value_network
    # The score of a reply is read at its last token; that place predicts one token more.
    longer = replace(rollout)
    pad = torch.zeros_like(rollout.reply_ids[:, :1])
    longer.reply_ids = torch.cat([rollout.reply_ids, pad], 1)
    longer.reply_mask = torch.cat([rollout.reply_mask, torch.zeros_like(pad)], 1)
    lengths = rollout.reply_mask.sum(1).long()
    longer.reply_mask[torch.arange(len(lengths)), lengths] = 1
    replies = Replies.of(longer, "cpu")
    values = net.all_values(replies, 8)[torch.arange(len(lengths)), lengths]
    by_pass = net(replies, 1.0)[1][torch.arange(len(lengths)), lengths]
    expected = score_rollout(mine.reward_model, mine.tokenizer, rollout, standardise=True)
    torch.testing.assert_close(values, expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(by_pass, expected, atol=1e-4, rtol=1e-4)
    assert isinstance(net, ReplyForward)


def test_the_policys_trunk_learns_no_values_beside_a_value_network(beside_value_network):
    _, net, rollout = beside_value_network
    net(Replies.of(rollout, "cpu"), 1.0)[1].sum().backward()
    assert all(weight.grad is None for weight in net.policy.parameters())
    assert any(weight.grad is not None for weight in net.value_head.parameters())


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
