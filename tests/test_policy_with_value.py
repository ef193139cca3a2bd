"""The policy and its values: a head on its trunk, or a network that starts as a reward model."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from test_ppo_checkpoint import SETTINGS, Stopped, assert_same, kept_in, run
from tiny import tiny_model, tiny_reward_model, tiny_tokenizer

from benchmarks.ppo_detail_cases import one_place_more
from rlhf_tutorial.models import CheckpointError, count_weights, load_language_model
from rlhf_tutorial.policy_with_value import PolicyWithValue
from rlhf_tutorial.replies import Replies, ReplyForward
from rlhf_tutorial.reward import score_rollout
from rlhf_tutorial.sampling import sample

TOKENIZER = tiny_tokenizer()
IDS = torch.tensor([[2, 70, 80, 3, 90, 1], [2, 71, 3, 91, 92, 1]])
PROMPTS = ["hi", "good day to you and your dog", "where is the cat", "yes"]


def reward_model(**changes):
    """One whose scores have a mean and a deviation of their own."""
    model = tiny_reward_model(TOKENIZER, seed=1, **changes)
    model.config.reward_mean, model.config.reward_std = 0.3, 0.05
    return model


def with_network() -> PolicyWithValue:
    return PolicyWithValue(tiny_model(TOKENIZER), reward_model())


def forward_of(actor: PolicyWithValue) -> ReplyForward:
    return ReplyForward(actor.policy, actor.value_head, actor.value_trunk)


def same(first, second) -> bool:
    states = first.state_dict(), second.state_dict()
    return list(states[0]) == list(states[1]) and all(
        torch.equal(value, states[1][name]) for name, value in states[0].items()
    )


def test_a_head_on_the_policys_trunk_starts_at_zero():
    actor = PolicyWithValue(tiny_model(TOKENIZER))
    hidden = actor.policy.transformer(IDS).last_hidden_state
    assert torch.equal(actor.values(hidden), torch.zeros(IDS.shape))
    assert count_weights(actor) == count_weights(actor.policy) + actor.config.n_embd + 1


@pytest.mark.parametrize("value_model", [None, reward_model()], ids=["head", "network"])
def test_what_is_saved_comes_back(tmp_path, value_model):
    actor = PolicyWithValue(tiny_model(TOKENIZER), value_model)
    with torch.no_grad():
        for weight in actor.parameters():
            weight.add_(0.01)
    actor.save_pretrained(tmp_path)
    assert same(PolicyWithValue.from_pretrained(tmp_path, TOKENIZER), actor)
    assert same(load_language_model(tmp_path, TOKENIZER), actor.policy)


def test_a_folder_that_is_written_again_keeps_no_network_of_before(tmp_path):
    with_network().save_pretrained(tmp_path)
    actor = PolicyWithValue(tiny_model(TOKENIZER, seed=2))
    actor.save_pretrained(tmp_path)
    assert same(PolicyWithValue.from_pretrained(tmp_path, TOKENIZER), actor)


def test_the_value_network_begins_as_the_reward_model():
    actor, judge = with_network(), reward_model()
    rollout = sample(actor.policy, TOKENIZER, PROMPTS, max_new_tokens=12, seed=0)
    # The score of a reply is read at its last token; that place predicts one token more.
    longer = one_place_more(rollout, 13)
    ends = torch.arange(len(PROMPTS)), rollout.reply_mask.sum(1).long()
    replies, net = Replies.of(longer, "cpu"), forward_of(actor)
    expected = score_rollout(judge, TOKENIZER, rollout, standardise=True)
    assert expected.std() > 0.01
    torch.testing.assert_close(net.all_values(replies, 3)[ends], expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(net(replies, 1.0)[1][ends], expected, atol=1e-4, rtol=1e-4)


def test_the_reward_model_is_copied_and_learns_nothing():
    judge = reward_model().requires_grad_(False)
    before, actor = copy.deepcopy(judge.state_dict()), PolicyWithValue(tiny_model(TOKENIZER), judge)
    start = copy.deepcopy(actor.value_trunk.state_dict())
    run(policy=actor)
    assert all(torch.equal(value, before[name]) for name, value in judge.state_dict().items())
    assert any(not torch.equal(v, start[n]) for n, v in actor.value_trunk.state_dict().items())


def test_values_teach_the_policys_trunk_only_where_they_share_it():
    shared = PolicyWithValue(tiny_model(TOKENIZER))
    torch.nn.init.normal_(shared.value_head.weight)
    for actor, taught in ((shared, True), (with_network(), False)):
        rollout = sample(actor.policy, TOKENIZER, PROMPTS, max_new_tokens=12, seed=0)
        forward_of(actor)(Replies.of(rollout, "cpu"), 1.0)[1].sum().backward()
        trunk = actor.policy.base_model.parameters()
        assert any(weight.grad is not None for weight in trunk) == taught
        assert actor.value_head.weight.grad is not None


def test_warming_up_trains_the_value_network_alone():
    actor = with_network()
    before = copy.deepcopy(actor.state_dict())
    run(settings=replace(SETTINGS, steps=2, value_warmup_steps=2), policy=actor)
    moved = {name for name, value in actor.state_dict().items() if not value.equal(before[name])}
    assert moved and not any(name.startswith("policy.") for name in moved)
    assert any(name.startswith("value_trunk.h.0.") for name in moved)


def test_a_run_with_a_value_network_goes_on_from_its_checkpoint_bit_for_bit(tmp_path):
    actor = with_network()
    unbroken = actor, run(policy=actor)[1]
    with pytest.raises(Stopped):
        run(tmp_path, stop_after=2, policy=with_network())
    assert kept_in(tmp_path)
    assert_same(run(tmp_path, policy=with_network()), unbroken)
    with pytest.raises(CheckpointError, match="the policy's shape is"):
        run(tmp_path)


def test_a_value_model_that_cannot_read_the_policys_replies_is_refused():
    policy = tiny_model(TOKENIZER)
    with pytest.raises(ValueError, match="is a GPT2LMHeadModel: give a reward model"):
        PolicyWithValue(policy, tiny_model(TOKENIZER))
    with pytest.raises(ValueError, match="reads 40 at once, the policy 305 and 96"):
        PolicyWithValue(policy, reward_model(n_positions=40))
    with pytest.raises(ValueError, match="knows 306 tokens .* made from the same language model"):
        PolicyWithValue(policy, reward_model(vocab_size=306))
