"""PPO against exact answers: definitions by brute force, gradients by hand, and that it learns."""

from __future__ import annotations

import copy
import itertools
from dataclasses import replace

import pytest
import torch
from accelerate import Accelerator
from tiny import tiny_model, tiny_reward_model, tiny_tokenizer

from rlhf_tutorial.policy_with_value import PolicyWithValue
from rlhf_tutorial.ppo import (
    Experience,
    PPOError,
    PPOSettings,
    assess,
    ppo_loss,
    train_ppo,
    update,
)
from rlhf_tutorial.ppo_checks import check_collapse, check_input, check_processes
from rlhf_tutorial.ppo_math import (
    adapted_kl_coefficient,
    clipped_surrogate,
    clipped_value_loss,
    gae,
    kl_k1,
    kl_k2,
    kl_k3,
    masked_mean,
    per_token_rewards,
    whiten,
)
from rlhf_tutorial.replies import Replies, ReplyForward
from rlhf_tutorial.sampling import sample
from rlhf_tutorial.tokenizer import encode_prompt

PROMPTS = ["hi", "where is the cat", "good day", "no", "thank you and your dog", "yes please"]
PROMPTS += [f"{first} {second}" for first in ("cat", "dog", "day") for second in ("yes", "here")]
SMALL = PPOSettings(
    steps=2, batch_size=12, micro_batch_size=5, max_new_tokens=8, learning_rate=1e-3
)


def ragged(seed: int, lengths=(5, 1, 3, 4)):
    """Random rewards and values, and a mask of unequal lengths."""
    generator = torch.Generator().manual_seed(seed)
    shape = (len(lengths), max(lengths))
    mask = torch.arange(shape[1]) < torch.tensor(lengths).unsqueeze(1)
    return torch.randn(shape, generator=generator), torch.randn(shape, generator=generator), mask


# ---- the formulas ----


@pytest.mark.parametrize(
    ("gamma", "lam"), list(itertools.product([1.0, 0.9, 0.5, 0.0], [1.0, 0.95, 0.3, 0.0]))
)
def test_gae_is_the_weighted_mean_of_n_step_advantages(gamma, lam):
    rewards, values, mask = ragged(seed=1)
    advantages, returns = gae(rewards, values, mask, gamma, lam)
    for row, length in enumerate(mask.sum(1).tolist()):
        for start in range(length):
            left = length - start
            n_step = []
            for n in range(1, left + 1):
                total = sum(gamma**k * float(rewards[row, start + k]) for k in range(n))
                if n < left:
                    total += gamma**n * float(values[row, start + n])
                n_step.append(total - float(values[row, start]))
            expected = sum((1 - lam) * lam ** (n - 1) * n_step[n - 1] for n in range(1, left))
            expected += lam ** (left - 1) * n_step[-1]
            assert float(advantages[row, start]) == pytest.approx(expected, abs=1e-5)
            assert float(returns[row, start]) == pytest.approx(
                expected + float(values[row, start]), abs=1e-5
            )
        assert (advantages[row, length:] == 0).all() and (returns[row, length:] == 0).all()


def test_gae_with_lambda_one_is_return_minus_value():
    rewards, values, mask = ragged(seed=2)
    advantages, returns = gae(rewards, values, mask, 1.0, 1.0)
    to_come = (rewards * mask).flip(1).cumsum(1).flip(1)
    assert torch.allclose(advantages[mask], (to_come - values)[mask], atol=1e-5)
    assert torch.allclose(returns[mask], to_come[mask], atol=1e-5)


def test_gae_ignores_padding():
    rewards, values, mask = ragged(seed=3)
    noise = torch.where(mask, 0.0, float("nan"))
    for one, other in zip(
        gae(rewards, values, mask, 0.9, 0.8),
        gae(rewards + noise, values + noise, mask, 0.9, 0.8),
        strict=True,
    ):
        assert torch.equal(one, other)


def test_gradient_at_ratio_one_is_the_policy_gradient():
    new, advantages, mask = ragged(seed=4)
    new = new.requires_grad_()
    loss, clipped = clipped_surrogate(new, new.detach(), advantages, mask, 0.2)
    (gradient,) = torch.autograd.grad(loss, new)
    (expected,) = torch.autograd.grad(-(advantages * new)[mask].mean(), new)
    assert torch.allclose(gradient, expected, atol=1e-7)
    assert float(clipped) == 0.0


def test_clipping_stops_the_gradient_exactly_where_it_should():
    ratios = torch.tensor([[1.5, 0.5, 1.1, 0.9, 1.5, 0.5, 1.1, 0.9]])
    advantages = torch.tensor([[1.0, 1.0, 1.0, 1.0, -1.0, -1.0, -1.0, -1.0]])
    stopped = torch.tensor([[True, False, False, False, False, True, False, False]])
    new = ratios.log().requires_grad_()
    mask = torch.ones_like(stopped)
    loss, share = clipped_surrogate(new, torch.zeros(1, 8), advantages, mask, 0.2)
    loss.backward()
    assert torch.equal(new.grad == 0, stopped)
    expected = torch.where(stopped, 0.0, -advantages * ratios / 8)
    assert torch.allclose(new.grad, expected, atol=1e-7)
    assert float(share) == pytest.approx(2 / 8)


def test_value_clipping_stops_the_gradient_exactly_where_it_should():
    # The old value is 0 and may move by 0.2; returns lie at 1 or -1.
    new = torch.tensor([[0.5, -0.5, 0.1, 0.5, -0.5]], requires_grad=True)
    returns = torch.tensor([[1.0, -1.0, 1.0, -1.0, 1.0]])
    mask = torch.ones(1, 5, dtype=torch.bool)
    loss, share = clipped_value_loss(new, torch.zeros(1, 5), returns, mask, 0.2)
    loss.backward()
    assert (new.grad == 0).tolist() == [[True, True, False, False, False]]
    expected = 0.5 * (0.8**2 + 0.8**2 + 0.9**2 + 1.5**2 + 1.5**2) / 5
    assert loss.item() == pytest.approx(expected, abs=1e-6)
    assert float(share) == pytest.approx(2 / 5)


@pytest.mark.parametrize("loss_of", [clipped_surrogate, clipped_value_loss])
def test_losses_ignore_padding(loss_of):
    new, old, mask = ragged(seed=5)
    target, _, _ = ragged(seed=6)
    results = []
    for padding in (0.0, 3.0):
        filled = [torch.where(mask, x, padding) for x in (new, old, target)]
        filled[0].requires_grad_()
        loss, share = loss_of(*filled, mask, 0.2)
        (gradient,) = torch.autograd.grad(loss, filled[0])
        assert (gradient[~mask] == 0).all()
        results.append((loss, share, gradient))
    for one, other in zip(*results, strict=True):
        assert torch.equal(one, other)


def test_parts_of_a_minibatch_add_up_to_its_mean():
    values, _, mask = ragged(seed=7)
    parts = [masked_mean(values[i : i + 1], mask[i : i + 1], mask.sum()) for i in range(4)]
    assert float(sum(parts)) == pytest.approx(float(values[mask].mean()), abs=1e-6)


def test_whiten():
    values, _, mask = ragged(seed=8)
    whitened = whiten(values * 7 + 3, mask)
    assert float(whitened[mask].mean()) == pytest.approx(0, abs=1e-6)
    assert float(whitened[mask].var(correction=0)) == pytest.approx(1, abs=1e-5)
    assert (whitened[~mask] == 0).all()
    kept = whiten(values * 7 + 3, mask, shift_mean=False)
    assert float(kept[mask].mean()) == pytest.approx(float((values * 7 + 3)[mask].mean()), abs=1e-5)


def test_per_token_rewards_put_the_score_on_the_last_token():
    kl, _, mask = ragged(seed=9)
    scores = torch.tensor([1.0, 2.0, 3.0, 4.0])
    rewards = per_token_rewards(scores, kl, 0.5, mask)
    for row, length in enumerate(mask.sum(1).tolist()):
        expected = -0.5 * kl[row, :length]
        expected[-1] += scores[row]
        assert torch.allclose(rewards[row, :length], expected)
        assert (rewards[row, length:] == 0).all()
    assert torch.allclose(rewards.sum(1), scores - 0.5 * (kl * mask).sum(1), atol=1e-5)


def test_kl_estimators_agree_with_the_exact_kl():
    generator = torch.Generator().manual_seed(0)
    far = torch.randn(2, 50, generator=generator, dtype=torch.float64)
    near = far[0] + 0.05 * torch.randn(50, generator=generator, dtype=torch.float64)
    for other, estimators in (
        (far[1], {kl_k1: 1e-10, kl_k3: 1e-10}),
        (near, {kl_k1: 1e-10, kl_k2: 0.03, kl_k3: 1e-10}),
    ):
        p, q = torch.log_softmax(far[0], 0), torch.log_softmax(other, 0)
        exact = float((p.exp() * (p - q)).sum())
        for estimator, tolerance in estimators.items():
            values = estimator(p, q)
            assert float((p.exp() * values).sum()) == pytest.approx(exact, rel=tolerance)
            assert estimator is kl_k1 or (values >= 0).all()


def test_adaptive_kl_coefficient():
    assert adapted_kl_coefficient(0.1, 100.0, None) == 0.1
    assert adapted_kl_coefficient(0.1, 5.0, 5.0) == pytest.approx(0.1)
    assert adapted_kl_coefficient(0.1, 5.5, 5.0) == pytest.approx(0.1 * 1.01)
    assert adapted_kl_coefficient(0.1, 500.0, 5.0) == pytest.approx(0.1 * 1.02)
    assert adapted_kl_coefficient(0.1, -3.0, 5.0) == pytest.approx(0.1 * 0.98)


# ---- the formulas on a model ----


def experience(settings=SMALL, seed: int = 0, spoil: bool = False):
    """Untrained policy with a random value head, and a batch to learn from.

    `spoil` fills all padding of the rollout, prompts' and replies', with another token.
    """
    tokenizer = tiny_tokenizer()
    actor = PolicyWithValue(tiny_model(tokenizer, seed=seed))
    torch.manual_seed(seed)
    torch.nn.init.normal_(actor.value_head.weight)
    net = ReplyForward(actor.policy, actor.value_head)
    reference = ReplyForward(tiny_model(tokenizer, seed=seed + 1))
    rollout = sample(
        actor.policy,
        tokenizer,
        PROMPTS,
        max_new_tokens=settings.max_new_tokens,
        temperature=settings.temperature,
        seed=seed,
    )
    assert len(set(rollout.reply_mask.sum(1).tolist())) > 1, "replies must differ in length"
    if spoil:
        rollout.prompt_ids = torch.where(rollout.prompt_mask.bool(), rollout.prompt_ids, 77)
        rollout.reply_ids = torch.where(rollout.reply_mask.bool(), rollout.reply_ids, 78)
    scores = torch.linspace(-1, 1, len(PROMPTS))
    replies = Replies.of(rollout, "cpu")
    return net, assess(net, reference, replies, rollout, scores, 0.1, settings), rollout


def loss_and_gradient(net, batch: Experience, micro_batch_size: int, settings=SMALL):
    net.zero_grad()
    total, measured = 0.0, 0.0
    count = batch.replies.mask.sum()
    for index, part in batch.replies.parts(micro_batch_size):
        loss, measures = ppo_loss(net, batch, index, part, settings, count)
        loss.backward()
        total, measured = total + loss.detach(), measured + measures
    gradient = torch.cat([parameter.grad.flatten() for parameter in net.parameters()])
    return total, gradient, measured


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_ratio_is_one_before_the_first_update(temperature):
    settings = replace(SMALL, temperature=temperature)
    net, batch, _ = experience(settings)
    _, _, measures = loss_and_gradient(net, batch, 4, settings)
    assert float(measures[5]) == pytest.approx(1.0, abs=1e-4)
    with torch.no_grad():
        logprobs, _, _ = net(batch.replies, temperature)
    assert torch.allclose(logprobs, batch.logprobs, atol=1e-4)


def test_layout_equals_one_reply_at_a_time():
    net, batch, rollout = experience()
    logprobs, values, entropies = net(batch.replies, 1.0)
    assert torch.allclose(net.all_logprobs(batch.replies, 1.0, 5), logprobs, atol=1e-5)
    assert torch.allclose(net.all_values(batch.replies, 5), values, atol=1e-5)
    for row in range(len(PROMPTS)):
        prompt = rollout.prompt_ids[row][rollout.prompt_mask[row].bool()]
        reply = rollout.reply_ids[row][rollout.reply_mask[row].bool()]
        ids = torch.cat([prompt, reply]).unsqueeze(0)
        output = net.policy(ids, output_hidden_states=True)
        first, count = len(prompt) - 1, len(reply)
        distribution = torch.log_softmax(output.logits[0, first : first + count], -1)
        expected = distribution.gather(1, reply.unsqueeze(1)).squeeze(1)
        assert torch.allclose(logprobs[row, :count], expected, atol=1e-4)
        hidden = output.hidden_states[-1][0, first : first + count]
        assert torch.allclose(values[row, :count], net.value_head(hidden).squeeze(1), atol=1e-4)
        expected = torch.distributions.Categorical(logits=distribution).entropy()
        assert torch.allclose(entropies[row, :count], expected, atol=1e-4)
        assert (logprobs[row, count:] == 0).all() and (values[row, count:] == 0).all()


def test_padding_content_changes_no_loss_and_no_gradient():
    net, batch, _ = experience()
    loss, gradient, _ = loss_and_gradient(net, batch, 4)
    spoilt_net, spoilt, _ = experience(spoil=True)
    junk = ~spoilt.replies.mask
    spoilt = replace(
        spoilt,
        logprobs=spoilt.logprobs.masked_fill(junk, 0.5),
        advantages=spoilt.advantages.masked_fill(junk, 9.0),
        returns=spoilt.returns.masked_fill(junk, -9.0),
        values=spoilt.values.masked_fill(junk, 4.0),
    )
    spoilt_loss, spoilt_gradient, _ = loss_and_gradient(spoilt_net, spoilt, 4)
    assert float(loss) == float(spoilt_loss)
    assert torch.equal(gradient, spoilt_gradient)


@pytest.mark.parametrize("micro_batch_size", [1, 2, 5, 7])
def test_gradient_accumulation_changes_nothing(micro_batch_size):
    net, batch, _ = experience()
    torch.manual_seed(1)  # away from ratio 1, so that clipping takes part
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += 0.02 * torch.randn_like(parameter)
    loss, gradient, measures = loss_and_gradient(net, batch, len(PROMPTS))
    assert float(measures[2]) > 0
    in_parts = loss_and_gradient(net, batch, micro_batch_size)
    assert float(in_parts[0]) == pytest.approx(float(loss), abs=1e-5)
    assert (in_parts[1] - gradient).abs().max() < 1e-5 * max(1.0, float(gradient.abs().max()))
    assert torch.allclose(in_parts[2], measures, atol=1e-5)


@pytest.mark.parametrize("micro_batch_size", [1, 5])
def test_update_moves_the_weights_alike_however_a_minibatch_is_split(micro_batch_size):
    """Through `update` itself: one step of plain gradient descent, nothing clipped or adapted."""

    def moved(size: int) -> torch.Tensor:
        settings = replace(SMALL, micro_batch_size=size, max_gradient_norm=1e9, epochs=1)
        settings = replace(settings, minibatches=1)
        net, batch, _ = experience(settings)
        before = torch.cat([parameter.detach().flatten() for parameter in net.parameters()])
        descent = torch.optim.SGD(net.parameters(), lr=1.0)
        update(net, descent, batch, settings, Accelerator(), seed=0)
        return torch.cat([parameter.detach().flatten() for parameter in net.parameters()]) - before

    whole = moved(len(PROMPTS))
    assert whole.abs().max() > 1e-3
    assert (moved(micro_batch_size) - whole).abs().max() < 1e-5


# ---- whole runs ----


def run(reward, settings=SMALL, *, seed: int = 0, policy=None, **options):
    tokenizer = tiny_tokenizer()
    policy = policy or tiny_model(tokenizer)
    reference = copy.deepcopy(getattr(policy, "policy", policy))
    return policy, train_ppo(
        policy, reference, tokenizer, PROMPTS, reward, settings, seed=seed, **options
    )


def shortness(rollout):
    return -rollout.reply_mask.sum(1).float()


def test_logs_trl_names_and_ratio_one_with_dropout_in_the_config():
    tokenizer = tiny_tokenizer()
    policy = tiny_model(tokenizer, resid_pdrop=0.1, embd_pdrop=0.1, attn_pdrop=0.1)
    policy.train()
    rows, steps = [], []
    _, history = run(
        shortness,
        replace(SMALL, steps=3),
        policy=policy,
        callbacks=[lambda step, model, rollout, row: rows.append((step, model, rollout, row))],
        progress=lambda step, total: steps.append((step, total)),
    )
    names = "objective/kl objective/entropy objective/non_score_reward objective/rlhf_reward "
    names += "objective/scores policy/approxkl_avg policy/clipfrac_avg loss/policy_avg "
    names += "loss/value_avg val/clipfrac_avg policy/entropy_avg val/ratio val/ratio_var "
    names += "val/num_eos_tokens lr episode"
    for row in history:
        assert set(names.split()) <= set(row)
        assert row["val/ratio_first"] == pytest.approx(1.0, abs=1e-4)
        assert 0 <= row["val/num_eos_tokens"] <= SMALL.batch_size
    assert history[0]["objective/kl"] == pytest.approx(0, abs=1e-4)
    assert [row["episode"] for row in history] == [12, 24, 36]
    assert [step for step, *_ in rows] == [1, 2, 3] and steps[-1] == (3, 3)
    assert rows[0][1] is policy and rows[0][3] is history[0]
    assert len(rows[0][2].texts) == SMALL.batch_size


def test_same_seed_same_curve():
    curves = []
    for seed in (3, 3, 4):
        _, history = run(shortness, seed=seed)
        curves.append([row["loss/value_avg"] for row in history])
    assert curves[0] == curves[1] != curves[2]


def test_prompts_cycle_in_shuffled_epochs():
    seen = []
    run(
        shortness,
        replace(SMALL, steps=4, batch_size=6),
        callbacks=[lambda step, model, rollout, row: seen.extend(rollout.prompts)],
    )
    count = len(PROMPTS)
    assert sorted(seen[:count]) == sorted(seen[count:]) == sorted(PROMPTS)
    assert seen[:count] != seen[count:]


@pytest.mark.parametrize("value_network", [False, True], ids=["value head", "value network"])
def test_one_step_equals_plain_code(value_network):
    """The same step written without layout, micro-batches, shared masks or Accelerate."""
    settings = replace(SMALL, steps=1, kl_coefficient=0.1)
    tokenizer = tiny_tokenizer()
    reference = tiny_model(tokenizer, seed=1)
    value_model = tiny_reward_model(tokenizer) if value_network else None
    trained, plain = (PolicyWithValue(tiny_model(tokenizer), value_model) for _ in range(2))
    rollouts = []
    train_ppo(
        trained,
        reference,
        tokenizer,
        PROMPTS,
        shortness,
        settings,
        seed=7,
        callbacks=[lambda step, model, rollout, row: rollouts.append(rollout)],
    )
    (rollout,) = rollouts
    scores = shortness(rollout) - settings.missing_eos_penalty * (~rollout.finished).float()

    def token_numbers(model, actor, row):
        prompt = rollout.prompt_ids[row][rollout.prompt_mask[row].bool()]
        reply = rollout.reply_ids[row][rollout.reply_mask[row].bool()]
        ids, places = torch.cat([prompt, reply])[None], slice(len(prompt) - 1, -1)
        logprobs = model(ids).logits[0, places].log_softmax(-1).gather(1, reply[:, None])[:, 0]
        hidden = (actor.value_trunk or model.transformer)(ids).last_hidden_state[0, places]
        return logprobs, actor.value_head(hidden)[:, 0]

    everyone = range(settings.batch_size)
    with torch.no_grad():
        old = [token_numbers(plain.policy, plain, row) for row in everyone]
        frozen = [token_numbers(reference, plain, row)[0] for row in everyone]
    advantages, returns = [], []
    for row in everyone:
        rewards = -settings.kl_coefficient * (old[row][0] - frozen[row])
        rewards[-1] += scores[row]
        values = torch.cat([old[row][1], torch.zeros(1)])
        deltas = rewards + values[1:] - values[:-1]
        weights = settings.lam ** torch.arange(len(deltas))
        estimates = [(deltas[t:] * weights[: len(deltas) - t]).sum() for t in range(len(deltas))]
        advantages.append(torch.stack(estimates))
        returns.append(advantages[-1] + old[row][1])
    flat = torch.cat(advantages)
    advantages = [(a - flat.mean()) / flat.std(correction=0) for a in advantages]

    optimizer = torch.optim.AdamW(
        plain.parameters(), lr=settings.learning_rate, eps=settings.adam_epsilon, weight_decay=0.0
    )
    generator = torch.Generator().manual_seed(7 * 100_003 + 1)
    for _ in range(settings.epochs):
        order = torch.randperm(settings.batch_size, generator=generator)
        for minibatch in order.chunk(settings.minibatches):
            losses = []
            for row in minibatch.tolist():
                new, values = token_numbers(plain.policy, plain, row)
                ratio = torch.exp(new - old[row][0])
                surrogate = torch.minimum(
                    ratio * advantages[row], ratio.clamp(0.8, 1.2) * advantages[row]
                )
                near = old[row][1] + (values - old[row][1]).clamp(-0.2, 0.2)
                errors = [(v - returns[row]) ** 2 for v in (values, near)]
                losses.append(-surrogate + 0.1 * 0.5 * torch.maximum(*errors))
            optimizer.zero_grad()
            torch.cat(losses).mean().backward()
            torch.nn.utils.clip_grad_norm_(plain.parameters(), settings.max_gradient_norm)
            optimizer.step()

    start = PolicyWithValue(tiny_model(tokenizer), value_model).state_dict()
    for name, expected in plain.state_dict().items():
        moved = (expected - start[name]).abs().max()
        assert moved > 0 and (trained.state_dict()[name] - expected).abs().max() < 1e-2 * moved
    assert torch.allclose(trained.value_head.weight, plain.value_head.weight, atol=1e-5)


def test_value_warmup_trains_the_value_head_alone():
    tokenizer = tiny_tokenizer()
    actor = PolicyWithValue(tiny_model(tokenizer))
    before = copy.deepcopy(actor.state_dict())
    run(shortness, replace(SMALL, value_warmup_steps=2), policy=actor)
    for name, value in actor.state_dict().items():
        assert torch.equal(value, before[name]) == name.startswith("policy.")


def test_missing_end_costs_the_penalty():
    _, free = run(lambda rollout: torch.zeros(12), replace(SMALL, missing_eos_penalty=0.0))
    _, history = run(lambda rollout: torch.zeros(12), replace(SMALL, missing_eos_penalty=2.0))
    assert free[0]["objective/scores"] == 0.0
    cut_off = 12 - history[0]["val/num_eos_tokens"]
    assert cut_off > 0
    assert history[0]["objective/scores"] == pytest.approx(-2.0 * cut_off / 12)


def test_reward_that_is_not_a_number_stops_the_run():
    def sometimes(rollout):
        scores = torch.zeros(len(rollout.texts))
        scores[3] = float("nan")
        return scores

    with pytest.raises(PPOError, match="step 1: the reward of reply 3 .* is nan: make the reward"):
        run(sometimes)
    with pytest.raises(ValueError, match=r"shape \(12, 1\): it must give one number"):
        run(lambda rollout: torch.zeros(12, 1))


def test_gradient_that_is_not_a_number_leaves_the_weights_alone():
    tokenizer = tiny_tokenizer()
    policy = tiny_model(tokenizer)
    before = copy.deepcopy(policy.state_dict())
    huge = replace(SMALL, whiten_advantages=False)
    with pytest.raises(PPOError, match="step 1: the gradient is not a number") as caught:
        run(lambda rollout: torch.full((12,), 3e38), huge, policy=policy)
    assert caught.value.history == [] and "\n" not in str(caught.value)
    for name, value in policy.state_dict().items():
        assert torch.equal(value, before[name])


def test_what_would_spoil_or_hang_a_run_on_an_accelerator_is_refused():
    class Mixed:
        num_processes, gradient_accumulation_steps, mixed_precision = 1, 1, "bf16"

    policy = tiny_model(tiny_tokenizer())
    parts = (policy, copy.deepcopy(policy), tiny_tokenizer(), PROMPTS, SMALL)
    with pytest.raises(ValueError, match="mixed_precision is 'bf16'.*set it to \"no\""):
        check_input(*parts, Mixed())
    check_processes(SMALL, processes=2)
    with pytest.raises(ValueError, match="batch_size 12 .* 4 processes: take a multiple of 8"):
        check_processes(SMALL, processes=4)
    with pytest.raises(ValueError, match="value_warmup_steps .* set it to 0"):
        check_processes(replace(SMALL, value_warmup_steps=1), processes=2)


def test_collapse_to_one_reply_stops_the_run():
    def end_at_once(rollout):
        return (rollout.reply_ids[:, 0] == tiny_tokenizer().eos_token_id).float()

    settings = replace(SMALL, steps=200, batch_size=24, learning_rate=1e-2, kl_coefficient=0.0)
    with pytest.raises(PPOError, match="the policy has collapsed: it .* raise kl_coeff") as caught:
        run(end_at_once, settings)
    history = caught.value.history
    assert [row["collapsed"] for row in history[-3:]] == [1.0] * 3
    assert len(history) < 200 and "\n" not in str(caught.value)


def test_collapse_needs_patience_and_can_be_switched_off():
    class Same:
        texts = ["yes"] * 12
        prompts = PROMPTS

    rows = [{"step": step, "policy/entropy_avg": 1.0} for step in (1, 2, 3)]
    check_collapse(rows[:1], Same, SMALL)
    check_collapse(rows[:2], Same, SMALL)
    check_collapse(copy.deepcopy(rows), Same, replace(SMALL, entropy_floor=0.0))
    with pytest.raises(PPOError, match="one reply to every prompt"):
        check_collapse(rows, Same, SMALL)


def test_kl_budget_ends_the_run():
    settings = replace(
        SMALL, steps=100, learning_rate=5e-3, kl_coefficient=0.0, kl_budget=1.0, kl_window=2
    )
    _, history = run(shortness, settings)
    assert "KL passed its budget of 1.0" in history[-1]["stopped"] and len(history) < 100
    means = [
        (one["objective/kl"] + two["objective/kl"]) / 2 for one, two in itertools.pairwise(history)
    ]
    assert means[-1] > 1.0 and all(mean <= 1.0 for mean in means[:-1])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_learns_a_rule(seed):
    def share_of_even_tokens(rollout):
        even = (rollout.reply_ids % 2 == 0) & rollout.reply_mask.bool()
        return even.sum(1) / rollout.reply_mask.sum(1)

    settings = PPOSettings(
        steps=20, batch_size=48, max_new_tokens=8, learning_rate=3e-3, missing_eos_penalty=0.0
    )
    policy = tiny_model(tiny_tokenizer(), seed)
    _, history = run(share_of_even_tokens, settings, seed=seed, policy=policy)
    scores = [row["objective/scores"] for row in history]
    before, after = sum(scores[:3]) / 3, sum(scores[-3:]) / 3
    assert before < 0.75 and after > before + 0.15
    assert history[-1]["objective/kl"] > 0.1


@pytest.mark.parametrize("beta", [0.3, 1.0])
def test_reaches_the_optimum_that_can_be_computed(beta):
    """With one token a reply, the best policy is known: p(y) = q(y) exp(r(y) / beta) / Z."""
    tokenizer = tiny_tokenizer()
    policy = tiny_model(tokenizer)
    with torch.no_grad():
        policy.transformer.wte.weight *= 1.5  # a reference that is far from uniform

    def distribution():
        with torch.no_grad():
            ids = torch.tensor([encode_prompt(tokenizer, "hi")])
            return policy(ids).logits[0, -1].softmax(-1)

    rewards = 0.5 * torch.randn(len(tokenizer), generator=torch.Generator().manual_seed(5))
    reference = distribution()
    best = (reference.log() + rewards / beta).softmax(-1)
    settings = PPOSettings(
        steps=100,
        batch_size=256,
        micro_batch_size=256,
        max_new_tokens=1,
        learning_rate=1e-2,
        kl_coefficient=beta,
        value_coefficient=0.5,
        missing_eos_penalty=0.0,
        entropy_floor=0.0,
    )
    frozen = copy.deepcopy(policy)
    train_ppo(
        policy,
        frozen,
        tokenizer,
        ["hi"],
        lambda rollout: rewards[rollout.reply_ids[:, 0]],
        settings,
        seed=0,
    )
    assert float((reference - best).abs().sum() / 2) > 0.15
    assert float((distribution() - best).abs().sum() / 2) < 0.03


def test_bad_input_is_refused_before_the_first_step():
    tokenizer = tiny_tokenizer()
    policy = tiny_model(tokenizer)
    reference = copy.deepcopy(policy)
    with pytest.raises(ValueError, match="reference is the policy itself"):
        train_ppo(policy, policy, tokenizer, PROMPTS, shortness, SMALL, seed=0)
    with pytest.raises(ValueError, match="no prompts"):
        train_ppo(policy, reference, tokenizer, [], shortness, SMALL, seed=0)
    with pytest.raises(ValueError, match="prompt 1 with its longest reply has .* tokens"):
        train_ppo(policy, reference, tokenizer, ["a", "b " * 99], shortness, SMALL, seed=0)
    with pytest.raises(ValueError, match="does not split into 5 minibatches"):
        replace(SMALL, minibatches=5)
    with pytest.raises(ValueError, match="kl_estimator"):
        replace(SMALL, kl_estimator="k9")
    with pytest.raises(ValueError, match="PPOSettings.steps is 0"):
        replace(SMALL, steps=0)
