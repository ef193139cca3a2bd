"""PPO against what can be counted: on problems with every reply in the batch, nothing is sampled.

`test_ppo.py` holds the formulas against their definitions on numbers; here the same is asked of a
model, of a batch and of whole runs.
"""

from __future__ import annotations

import copy
import itertools
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from rlhf_tutorial.closed_form import random_problem
from rlhf_tutorial.policy_with_value import PolicyWithValue
from rlhf_tutorial.ppo import KL_ESTIMATORS, PPOSettings, assess, ppo_loss, train_ppo
from rlhf_tutorial.ppo_math import gae, per_token_rewards
from rlhf_tutorial.replies import Replies, ReplyForward
from rlhf_tutorial.sampling import Rollout, pad_left, reply_logprobs, sample
from rlhf_tutorial.tokenizer import encode_prompts

PROBLEM = random_problem(seed=3)
BETA = 0.3
SETTINGS = PPOSettings(
    steps=3,
    batch_size=24,
    micro_batch_size=7,
    max_new_tokens=3,
    learning_rate=1e-3,
    whiten_advantages=False,
    missing_eos_penalty=0.0,
    entropy_floor=0.0,
)


def moved(model, scale: float, seed: int = 0):
    """A copy of a model with noise on every weight."""
    model = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += scale * torch.randn(parameter.shape, generator=generator)
    return model


def forward_of(policy, seed: int = 0) -> ReplyForward:
    """Policy and a value head of random weights: a baseline, if not a good one."""
    actor = PolicyWithValue(policy)
    torch.nn.init.normal_(
        actor.value_head.weight, std=0.2, generator=torch.Generator().manual_seed(seed)
    )
    return ReplyForward(actor.policy, actor.value_head)


def every_rollout(policy, extra_padding: int = 0, pad_with: int = 0) -> Rollout:
    """All replies to all prompts of PROBLEM, once each, as if sampled from a policy."""
    prompts = [prompt for prompt in PROBLEM.prompts for _ in PROBLEM.replies]
    pad = PROBLEM.tokenizer.pad_token_id
    prompt_ids, prompt_mask = pad_left(encode_prompts(PROBLEM.tokenizer, prompts), pad)
    reply_ids = PROBLEM.replies.repeat(len(PROBLEM.prompts), 1)
    reply_mask = PROBLEM.mask.repeat(len(PROBLEM.prompts), 1).long()
    functional = torch.nn.functional
    prompt_ids = functional.pad(prompt_ids, (extra_padding, 0), value=pad)
    prompt_mask = functional.pad(prompt_mask, (extra_padding, 0))
    reply_ids = functional.pad(reply_ids, (0, extra_padding), value=pad)
    reply_mask = functional.pad(reply_mask, (0, extra_padding))
    last = reply_ids.gather(1, reply_mask.sum(1, keepdim=True) - 1).squeeze(1)
    rollout = Rollout(
        prompts=prompts,
        prompt_ids=prompt_ids.masked_fill(prompt_mask == 0, pad_with),
        prompt_mask=prompt_mask,
        reply_ids=reply_ids.masked_fill(reply_mask == 0, pad_with),
        reply_mask=reply_mask,
        logprobs=torch.zeros(reply_ids.shape),
        finished=last == PROBLEM.tokenizer.eos_token_id,
        texts=[str(index) for index in range(len(prompts))],
    )
    rollout.logprobs = reply_logprobs(policy, rollout).detach()
    return rollout


def experience(net: ReplyForward, settings=SETTINGS, **padding):
    """Every reply, scored and assessed: `(batch, rollout)`."""
    rollout = every_rollout(net.policy, **padding)
    scores = PROBLEM.reward(rollout)
    reference = ReplyForward(PROBLEM.reference)
    replies = Replies.of(rollout, "cpu")
    return assess(net, reference, replies, rollout, scores, BETA, settings), rollout


def gradient_of(loss: torch.Tensor, net: torch.nn.Module) -> torch.Tensor:
    found = torch.autograd.grad(loss, list(net.parameters()), allow_unused=True)
    pairs = zip(found, net.parameters(), strict=True)
    return torch.cat([torch.zeros(p.numel()) if g is None else g.flatten() for g, p in pairs])


def loss_of_parts(net, batch, parts, settings=SETTINGS):
    """Loss and gradient, accumulated over parts: lists of rows."""
    count = batch.replies.mask.sum()
    total, gradient = 0.0, 0.0
    for rows in parts:
        index = torch.as_tensor(rows)
        loss, _ = ppo_loss(net, batch, index, batch.replies.rows(index), settings, count)
        gradient = gradient + gradient_of(loss, net)
        total = total + float(loss.detach())
    return total, gradient


def close(one: torch.Tensor, other: torch.Tensor, tolerance: float = 1e-5) -> bool:
    return float((one - other).abs().max()) < tolerance * max(1.0, float(other.abs().max()))


# ---- advantages ----


@pytest.mark.parametrize("gamma", [1.0, 0.99, 0.7, 0.0])
@pytest.mark.parametrize("lam", [1.0, 0.95, 0.4, 0.0])
def test_gae_is_the_sum_of_its_definition(gamma, lam):
    """Equation 16 as written, on finished and cut-off replies of all lengths and extra padding."""
    settings = replace(SETTINGS, gamma=gamma, lam=lam, missing_eos_penalty=0.7)
    net = forward_of(moved(PROBLEM.reference, 0.1))
    batch, rollout = experience(net, settings, extra_padding=2)
    cut_off = ~rollout.finished
    assert set(rollout.reply_mask.sum(1).tolist()) == {1, 2, 3} and 0 < cut_off.sum() < len(cut_off)
    scores = PROBLEM.reward(rollout) - 0.7 * cut_off
    with torch.no_grad():
        _, values, _ = net(batch.replies, 1.0)
        reference = reply_logprobs(PROBLEM.reference, rollout)
    for row in range(0, len(scores), 7):
        length = int(rollout.reply_mask[row].sum())
        rewards = -BETA * (rollout.logprobs - reference)[row, :length]
        rewards[-1] += scores[row]
        after = torch.cat([values[row, 1:length], torch.zeros(1)])
        delta = rewards + gamma * after - values[row, :length]
        for time in range(length):
            expected = sum((gamma * lam) ** k * delta[time + k] for k in range(length - time))
            assert float(batch.advantages[row, time]) == pytest.approx(float(expected), abs=1e-4)
            expected = expected + values[row, time]
            assert float(batch.returns[row, time]) == pytest.approx(float(expected), abs=1e-4)
        assert (batch.advantages[row, length:] == 0).all()


def test_gae_of_one_row_does_not_know_the_others():
    generator = torch.Generator().manual_seed(0)
    rewards, values = torch.randn(2, 40, 9, generator=generator)
    lengths = torch.randint(1, 10, (40,), generator=generator)
    mask = torch.arange(9) < lengths.unsqueeze(1)
    together = gae(rewards, values, mask, 0.9, 0.8)
    for row, length in enumerate(lengths.tolist()):
        cut = slice(row, row + 1), slice(0, length)
        alone = gae(rewards[cut], values[cut], mask[cut], 0.9, 0.8)
        for one, other in zip(together, alone, strict=True):
            assert torch.equal(one[cut], other)


# ---- gradients ----


def test_gradient_at_ratio_one_is_that_of_advantage_times_log_probability():
    net = forward_of(moved(PROBLEM.reference, 0.1))
    settings = replace(SETTINGS, value_coefficient=0.0, whiten_advantages=True)
    batch, _ = experience(net, settings)
    loss, gradient = loss_of_parts(net, batch, [range(len(batch.scores))], settings)
    logprobs, _, _ = net(batch.replies, 1.0)
    mask = batch.replies.mask
    expected = gradient_of(-(batch.advantages * logprobs)[mask].mean(), net)
    assert float(expected.abs().max()) > 1e-3
    assert close(gradient, expected)


def test_expected_gradient_is_that_of_the_objective():
    """Every reply weighed by its probability: the gradient of E[r] - beta KL, with any baseline."""
    net = forward_of(moved(PROBLEM.reference, 0.1))
    settings = replace(SETTINGS, value_coefficient=0.0, lam=1.0)
    batch, _ = experience(net, settings)
    assert float(batch.values.std()) > 0.05, "the baseline must matter"

    logprobs = PROBLEM.logprobs(net.policy)
    reference = PROBLEM.logprobs(PROBLEM.reference).detach()
    objective = (logprobs.exp() * (PROBLEM.rewards - BETA * (logprobs - reference))).sum()
    expected = gradient_of(-objective, net)

    weights = logprobs.detach().exp().flatten().unsqueeze(1) * batch.replies.mask.sum()
    weighed = replace(batch, advantages=batch.advantages * weights)
    _, gradient = loss_of_parts(net, weighed, [range(len(batch.scores))], settings)
    assert float(expected.abs().max()) > 1e-2
    assert close(gradient, expected, 1e-4)

    twice = replace(weighed, advantages=weighed.advantages - BETA * batch.kl * weights)
    _, wrong = loss_of_parts(net, twice, [range(len(batch.scores))], settings)
    assert not close(wrong, expected, 1e-2), "a KL taken off twice must be seen"


@pytest.mark.parametrize(("ratio", "sign"), [(1.5, 1.0), (0.5, -1.0)])
def test_no_weight_moves_where_every_token_is_clipped(ratio, sign):
    net = forward_of(PROBLEM.reference)
    settings = replace(SETTINGS, value_coefficient=0.0)
    batch, _ = experience(net, settings)
    beyond = replace(
        batch,
        logprobs=batch.logprobs - torch.tensor(ratio).log(),
        advantages=sign * torch.ones_like(batch.advantages),
    )
    everyone = [range(len(batch.scores))]
    _, gradient = loss_of_parts(net, beyond, everyone, settings)
    assert (gradient == 0).all()
    inside = replace(beyond, advantages=-beyond.advantages)
    _, gradient = loss_of_parts(net, inside, everyone, settings)
    assert (gradient != 0).any()


# ---- padding and accumulation ----


def test_padding_changes_no_loss_and_no_gradient():
    net = forward_of(moved(PROBLEM.reference, 0.1))
    other = forward_of(moved(net.policy, 0.05, seed=1))
    results = []
    for padding in ({}, {"extra_padding": 3}, {"extra_padding": 3, "pad_with": 5}):
        batch, _ = experience(net, **padding)
        results.append(loss_of_parts(other, batch, torch.arange(len(batch.scores)).split(50)))
    (plain, wider, otherwise) = results
    assert wider[0] == otherwise[0] and torch.equal(wider[1], otherwise[1])  # what stands there
    # How much there is may change how a matrix product is cut, and with it the rounding.
    assert abs(wider[0] - plain[0]) < 1e-7
    torch.testing.assert_close(wider[1], plain[1], atol=1e-7, rtol=1e-5)


def test_the_content_of_prompts_does_count():
    """So that the test above is not passed by a model that reads nothing."""
    net = forward_of(PROBLEM.reference)
    batch, _ = experience(net)
    half = len(batch.scores) // 2
    assert not torch.allclose(batch.logprobs[:half], batch.logprobs[half:], atol=1e-2)


@pytest.mark.parametrize("seed", range(6))
def test_accumulation_over_any_split_gives_the_same_gradient(seed):
    net = forward_of(moved(PROBLEM.reference, 0.1))
    batch, _ = experience(net)
    other = forward_of(moved(net.policy, 0.05, seed=1))
    count = len(batch.scores)
    loss, gradient = loss_of_parts(other, batch, [range(count)])
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(count, generator=generator)
    cuts = torch.randint(1, count, (seed + 1,), generator=generator).unique().tolist()
    parts = [part for part in order.tensor_split(cuts) if len(part)]
    assert len(parts) > 1
    split_loss, split_gradient = loss_of_parts(other, batch, parts)
    assert split_loss == pytest.approx(loss, abs=1e-5)
    assert close(split_gradient, gradient)


# ---- the KL ----


def test_estimators_agree_with_the_exact_kl_of_whole_replies():
    """Summed over a reply's tokens and weighed by its probability, k1 and k3 are the KL itself."""
    for scale, tolerances in ((0.1, {"k1": 1e-4, "k3": 1e-4}), (0.01, {"k2": 0.05})):
        policy = moved(PROBLEM.reference, scale)
        rollout = every_rollout(policy)
        reference = reply_logprobs(PROBLEM.reference, rollout).detach()
        mask = rollout.reply_mask.bool()
        chances = PROBLEM.distribution(policy)
        exact = (chances * (chances / PROBLEM.distribution(PROBLEM.reference)).log()).sum()
        for name, tolerance in tolerances.items():
            a_token = KL_ESTIMATORS[name](rollout.logprobs, reference).masked_fill(~mask, 0.0)
            mean = (chances.flatten() * a_token.sum(1)).sum()
            assert float(mean) == pytest.approx(float(exact), rel=tolerance), name


def test_estimators_agree_with_the_exact_kl_over_samples():
    policy = moved(PROBLEM.reference, 0.1)
    chances = PROBLEM.distribution(policy)
    exact = (chances * (chances / PROBLEM.distribution(PROBLEM.reference)).log()).sum(1).mean()
    rollout = sample(
        policy, PROBLEM.tokenizer, PROBLEM.prompts, replies_per_prompt=4000, max_new_tokens=3
    )
    reference = reply_logprobs(PROBLEM.reference, rollout).detach()
    for name in ("k1", "k3"):
        replies = KL_ESTIMATORS[name](rollout.logprobs, reference).sum(1)
        error = float(replies.std()) / len(replies) ** 0.5
        assert error < 0.1 * float(exact)
        assert abs(float(replies.mean() - exact)) < 4 * error, name


def test_score_and_kl_add_up_to_the_objective():
    """A reply's per-token rewards sum to r - beta log(policy / reference), whatever its length."""
    net = forward_of(moved(PROBLEM.reference, 0.1))
    batch, rollout = experience(net)
    rewards = per_token_rewards(batch.scores, batch.kl, BETA, batch.replies.mask)
    ratio = PROBLEM.logprobs(net.policy) - PROBLEM.logprobs(PROBLEM.reference)
    expected = PROBLEM.rewards - BETA * ratio.detach()
    assert torch.allclose(rewards.sum(1), expected.flatten(), atol=1e-4)


# ---- whole runs ----


def run(settings, seed: int = 0):
    policy = PolicyWithValue(copy.deepcopy(PROBLEM.reference))
    history = train_ppo(
        policy,
        PROBLEM.reference,
        PROBLEM.tokenizer,
        PROBLEM.prompts,
        PROBLEM.reward,
        settings,
        seed=seed,
    )
    return policy, history


@pytest.mark.parametrize(
    ("micro_batch_size", "minibatches", "temperature"),
    [*itertools.product([1, 5, 24], [1, 4], [1.0]), (5, 2, 0.7)],
)
def test_the_first_ratio_of_every_step_is_one(micro_batch_size, minibatches, temperature):
    settings = replace(
        SETTINGS,
        micro_batch_size=micro_batch_size,
        minibatches=minibatches,
        temperature=temperature,
        learning_rate=1e-2,
    )
    _, history = run(settings)
    assert len(history) == settings.steps
    for row in history:
        assert row["val/ratio_first"] == pytest.approx(1.0, abs=1e-4)
    assert max(row["val/ratio_var"] for row in history) > 0, "later ratios must move"


def test_same_seed_same_curve_to_the_bit():
    first, first_rows = run(SETTINGS, seed=3)
    torch.manual_seed(99)  # the global random state must not matter
    torch.rand(10)
    second, second_rows = run(SETTINGS, seed=3)
    _, other_rows = run(SETTINGS, seed=4)
    assert first_rows == second_rows != other_rows
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def test_the_code_shown_in_the_docs_is_the_code():
    """Each line of Python on the page of PPO stands, as it is, in the files that it speaks of."""
    root = Path(__file__).resolve().parents[1]
    page = (root / "docs" / "ppo.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    lines = [line.strip() for block in blocks for line in block.splitlines() if line.strip()]
    assert len(lines) > 15
    there = {
        line.strip()
        for name in ("ppo", "ppo_math")
        for line in (root / "rlhf_tutorial" / f"{name}.py").read_text("utf-8").splitlines()
    }
    shown_only_here = [line for line in lines if line not in there]
    assert shown_only_here == []
