"""The harness of exact answers: its own arithmetic, and trainers held against their optima.

The long table (20 problems, three values of beta) is written by `benchmarks/closed_form.py`.
"""

from __future__ import annotations

import copy
import itertools
from collections import Counter
from dataclasses import replace

import pytest
import torch
from chi_squared import assert_fits

from rlhf_tutorial.closed_form import (
    CONVERGED,
    Problem,
    arg_max,
    best_of_n,
    compare,
    every_reply,
    ppo_trainer,
    random_problem,
    tilted,
    total_variation,
)
from rlhf_tutorial.sampling import reply_logprobs, sample

NEAR = 0.03  # total variation that counts as right
PROBLEM = random_problem(seed=1)


def objective(problem: Problem, chances: torch.Tensor, beta: float) -> torch.Tensor:
    """E[r] - beta KL `(prompts,)` of a distribution over the replies."""
    reference = problem.distribution(problem.reference)
    kl = torch.special.xlogy(chances, chances / reference)
    return (chances * problem.rewards - beta * kl).sum(1)


# ---- counting ----


@pytest.mark.parametrize(("vocabulary", "length"), [*itertools.product((5, 6), (1, 2, 3))])
def test_every_reply_is_there_once(vocabulary, length):
    end = 1
    replies, mask = every_reply(vocabulary, length, end)
    written = {tuple(row[: sum(keep)]) for row, keep in zip(replies.tolist(), mask.tolist())}  # noqa: B905
    assert len(written) == len(replies)
    expected = {
        ids
        for count in range(1, length + 1)
        for ids in itertools.product(range(vocabulary), repeat=count)
        if end not in ids[:-1] and (ids[-1] == end or count == length)
    }
    assert written == expected


@pytest.mark.parametrize("seed", range(4))
def test_chances_of_all_replies_sum_to_one(seed):
    problem = random_problem(seed, vocabulary=5 + seed % 2, length=1 + seed % 3)
    total = problem.distribution(problem.reference).sum(1)
    assert torch.allclose(total, torch.ones_like(total), atol=1e-5)


def test_chances_are_those_of_sampling():
    rollout = sample(
        PROBLEM.reference, PROBLEM.tokenizer, PROBLEM.prompts, replies_per_prompt=6000,
        max_new_tokens=3, seed=4,
    )  # fmt: skip
    places = PROBLEM.index_of(rollout)
    chances = PROBLEM.distribution(PROBLEM.reference)
    logprobs = reply_logprobs(PROBLEM.reference, rollout).sum(1)
    rows = torch.arange(len(PROBLEM.prompts)).repeat_interleave(6000)
    assert torch.allclose(chances[rows, places].log(), logprobs.double(), atol=1e-4)
    for row, drawn in enumerate(places.split(6000)):
        rare = chances[row] * 6000 < 5
        keys = [-1 if rare[place] else place for place in drawn.tolist()]
        shares = Counter({-1: float(chances[row][rare].sum())})
        for place in (~rare).nonzero().flatten().tolist():
            shares[place] = float(chances[row, place])
        total = sum(shares.values())
        assert_fits(Counter(keys), {key: share / total for key, share in shares.items()})


def test_rewards_are_looked_up_by_prompt_and_reply():
    rollout = sample(
        PROBLEM.reference, PROBLEM.tokenizer, PROBLEM.prompts, replies_per_prompt=20,
        max_new_tokens=3,
    )  # fmt: skip
    scores = PROBLEM.reward(rollout).tolist()
    for row, score in enumerate(scores):
        ids = rollout.reply_ids[row][rollout.reply_mask[row].bool()].tolist()
        (place,) = (
            index
            for index in range(len(PROBLEM.replies))
            if PROBLEM.replies[index][PROBLEM.mask[index]].tolist() == ids
        )
        assert score == float(PROBLEM.rewards[row // 20, place])


def test_a_problem_follows_from_its_seed():
    torch.manual_seed(5)
    again, other = random_problem(seed=1), random_problem(seed=2)
    assert torch.equal(again.rewards, PROBLEM.rewards)
    assert not torch.equal(other.rewards, PROBLEM.rewards)
    for one, same in zip(PROBLEM.reference.parameters(), again.reference.parameters(), strict=True):
        assert torch.equal(one, same)
    half = len(PROBLEM.prompts) // 2
    assert not torch.equal(PROBLEM.rewards[:half], PROBLEM.rewards[half:])


def test_worth_by_place_adds_up():
    problem = random_problem(seed=1, by_place=True)
    worth = dict(zip(map(tuple, problem.written()), problem.rewards[0].tolist(), strict=True))
    gain = worth[0, 0, 2] - worth[0, 0, 3]
    assert gain == pytest.approx(worth[4, 5, 2] - worth[4, 5, 3], abs=1e-5)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"vocabulary": 7}, "vocabulary is 7: it must be 5 to 6"),
        ({"vocabulary": 4}, "vocabulary is 4"),
        ({"length": 4}, "length is 4: replies of 1 to 3 tokens"),
        ({"length": 0}, "length is 0"),
    ],
)
def test_what_cannot_be_counted_is_refused(wanted, message):
    with pytest.raises(ValueError, match=message):
        random_problem(seed=0, **wanted)


# ---- optima ----


def test_total_variation():
    one = torch.tensor([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]])
    other = torch.tensor([[0.25, 0.5, 0.25], [0.0, 0.0, 1.0]])
    assert total_variation(one, other).tolist() == [0.25, 1.0]
    assert total_variation(one, one).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("beta", [0.1, 0.5, 2.0])
def test_no_distribution_beats_the_tilted_one(beta):
    best = tilted(PROBLEM, beta)
    highest = objective(PROBLEM, best, beta)
    reference = PROBLEM.distribution(PROBLEM.reference)
    log_z = (reference * (PROBLEM.rewards.double() / beta).exp()).sum(1).log()
    assert torch.allclose(highest, beta * log_z, atol=1e-5)
    generator = torch.Generator().manual_seed(0)
    for scale in (0.01, 0.1, 1.0):
        noise = torch.randn(best.shape, generator=generator, dtype=torch.float64)
        other = (best.log() + scale * noise).softmax(-1)
        assert (objective(PROBLEM, other, beta) < highest).all()
    assert (objective(PROBLEM, reference, beta) < highest).all()


def test_the_tilted_one_lies_between_the_reference_and_the_arg_max():
    reference = PROBLEM.distribution(PROBLEM.reference)
    assert float(total_variation(tilted(PROBLEM, 1e4), reference).max()) < 1e-3
    assert float(total_variation(tilted(PROBLEM, 1e-4), arg_max(PROBLEM)).max()) < 1e-3
    best = arg_max(PROBLEM)
    assert torch.equal((best * PROBLEM.rewards).sum(1).float(), PROBLEM.rewards.amax(1))


def test_best_of_n():
    small = random_problem(seed=2, vocabulary=5, length=1)
    ties = replace(small, rewards=small.rewards.round())
    assert len(ties.rewards[0].unique()) < len(ties.rewards[0])
    for problem in (small, ties):
        chances = problem.distribution(problem.reference)
        assert torch.allclose(best_of_n(problem, 1), chances, atol=1e-6)
        for n in (2, 3):
            expected = torch.zeros_like(chances)
            for row, rewards in enumerate(problem.rewards.tolist()):
                for drawn in itertools.product(range(len(rewards)), repeat=n):
                    chance = chances[row, list(drawn)].prod()
                    best = max(rewards[place] for place in drawn)
                    winners = [place for place in drawn if rewards[place] == best]
                    for place in winners:  # which of equals is taken is chance
                        expected[row, place] += chance / len(winners)
            assert torch.allclose(best_of_n(problem, n), expected, atol=1e-6)


# ---- trainers ----


def test_a_sampler_without_a_model_is_held_against_best_of_n():
    def best_of_four(problem, seed):
        rollout = sample(
            problem.reference, problem.tokenizer, problem.prompts, replies_per_prompt=24_000,
            max_new_tokens=problem.length, seed=seed,
        )  # fmt: skip
        places = problem.index_of(rollout).view(len(problem.prompts), -1, 4)
        scores = problem.reward(rollout).view(places.shape)
        chosen = places.gather(2, scores.argmax(2, keepdim=True)).squeeze(2)
        counts = [torch.bincount(row, minlength=len(problem.replies)) for row in chosen]
        return torch.stack(counts).double() / chosen.shape[1]

    problem = random_problem(seed=4, length=2)
    outcome = compare(problem, best_of_four, best_of_n(problem, 4))
    assert outcome.before > 0.2 and outcome.after < NEAR
    assert compare(problem, best_of_four, best_of_n(problem, 3)).after > NEAR


def climb(problem: Problem, loss_of, steps: int = 150, rate: float = 1e-2):
    """A copy of the reference, trained on an exact loss by Adam with a rate that falls to 0."""
    model = copy.deepcopy(problem.reference)
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = rate * (1 - step / steps)
        optimizer.zero_grad()
        loss_of(problem.logprobs(model)).backward()
        optimizer.step()
    return model


def exact_policy_gradient(beta: float):
    def train(problem, seed):
        reference = problem.logprobs(problem.reference).detach()
        return climb(
            problem,
            lambda logprobs: (
                -(logprobs.exp() * (problem.rewards - beta * (logprobs - reference))).sum()
            ),
        )

    return train


def dpo_on_every_pair(beta: float):
    """DPO (Rafailov et al. 2023, arXiv 2305.18290, eq. 7) with all pairs and exact preferences."""

    def train(problem, seed):
        reference = problem.logprobs(problem.reference).detach()
        rewards = problem.rewards
        preferred = torch.sigmoid(rewards[:, :, None] - rewards[:, None, :])

        def loss(logprobs):
            implicit = beta * (logprobs - reference)
            margins = implicit[:, :, None] - implicit[:, None, :]
            return -(preferred * torch.nn.functional.logsigmoid(margins)).mean()

        return climb(problem, loss, steps=300)

    return train


@pytest.mark.parametrize("trainer", [exact_policy_gradient, dpo_on_every_pair])
def test_other_trainers_reach_the_optimum_they_declare(trainer):
    problem = random_problem(seed=7, length=2)
    outcome = compare(problem, trainer(0.5), tilted(problem, 0.5))
    assert outcome.before > 0.2 and outcome.after < NEAR
    assert outcome.after > 0.0  # not the optimum itself
    assert float(total_variation(outcome.reached, tilted(problem, 1.0)).max()) > 2 * NEAR


def test_a_trainer_that_does_nothing_is_seen():
    outcome = compare(PROBLEM, lambda problem, seed: problem.reference, tilted(PROBLEM, 0.5))
    assert outcome.before == outcome.after > 2 * NEAR


# ---- PPO ----


def settings_for(problem: Problem, beta: float, **changes):
    return replace(CONVERGED, kl_coefficient=beta, max_new_tokens=problem.length, **changes)


@pytest.mark.parametrize(("seed", "vocabulary", "beta"), [(0, 5, 0.5), (1, 6, 1.0), (2, 6, 2.0)])
def test_ppo_reaches_the_optimum_of_one_token(seed, vocabulary, beta):
    problem = random_problem(seed, vocabulary=vocabulary, length=1)
    settings = settings_for(problem, beta, steps=60)
    outcome = compare(problem, ppo_trainer(settings), tilted(problem, beta))
    assert outcome.before > 2 * NEAR and outcome.after < NEAR


def test_a_wrong_coefficient_is_seen():
    problem = random_problem(seed=0, vocabulary=5, length=1)
    settings = settings_for(problem, 1.0, steps=60)
    assert compare(problem, ppo_trainer(settings), tilted(problem, 0.5)).after > NEAR


@pytest.mark.medium
def test_ppo_reaches_the_optimum_of_two_tokens():
    problem = random_problem(seed=4, length=2)
    outcome = compare(problem, ppo_trainer(settings_for(problem, 0.5)), tilted(problem, 0.5))
    assert outcome.before > 0.2 and outcome.after < NEAR


@pytest.mark.medium
def test_ppo_without_kl_goes_to_the_arg_max():
    problem = random_problem(seed=5, by_place=True)
    settings = settings_for(problem, 0.0, steps=60)
    outcome = compare(problem, ppo_trainer(settings), arg_max(problem))
    assert outcome.before > 0.9 and outcome.after < NEAR


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "beta"), [*itertools.product((5, 8), (0.5, 1.0, 2.0))])
def test_ppo_reaches_the_optimum_of_three_tokens(seed, beta):
    problem = random_problem(seed, vocabulary=5 + seed % 2)
    outcome = compare(problem, ppo_trainer(settings_for(problem, beta)), tilted(problem, beta))
    assert outcome.before > 2 * NEAR and outcome.after < NEAR
