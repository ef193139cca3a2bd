"""Faults put into real runs of tiny models: each does what it says, and leaves nothing behind."""

from __future__ import annotations

import copy
import math
from functools import lru_cache

import pytest
from tiny import tiny_model, tiny_reward_model, tiny_tokenizer

from rlhf_tutorial import decoding, ppo, sampling
from rlhf_tutorial.doctor import diagnose
from rlhf_tutorial.ppo_faults import FAULTS, Job

PROMPTS = ["hi", "where is the cat", "good day", "no", "thank you and your dog", "yes please"]
PROMPTS += [f"{first} {second}" for first in ("cat", "dog", "day") for second in ("yes", "here")]
PATCHED = [(ppo, "sample"), (ppo, "update"), (ppo, "assess"), (ppo, "per_token_rewards")]
PATCHED += [(ppo.Replies, "of"), (sampling, "pad_left"), (decoding, "positions")]


def policy_that_ends():
    """A tiny model that gives the end token about one chance in ten."""
    tokenizer = tiny_tokenizer()
    policy = tiny_model(tokenizer)
    end = policy.transformer.wte.weight[tokenizer.eos_token_id].detach()
    policy.transformer.ln_f.bias.data.copy_(3.5 * end / end.dot(end))
    return policy


def spoilt_run(name: str, severity: float, **changes) -> list[dict]:
    policy, tokenizer = policy_that_ends(), tiny_tokenizer()
    settings = {"steps": 3, "batch_size": 24, "max_new_tokens": 12, "learning_rate": 1e-4}
    job = Job(
        policy,
        copy.deepcopy(policy),
        tokenizer,
        PROMPTS,
        tiny_reward_model(tokenizer, seed=1),
        ppo.PPOSettings(**{**settings, **changes}),
    )
    before = [getattr(place, function) for place, function in PATCHED], job.settings, job.reward
    with FAULTS[name].spoil(job, severity):
        rows = job.run(seed=0)
    after = [getattr(place, function) for place, function in PATCHED], job.settings, job.reward
    assert after == before and job.policy is policy
    return rows


@lru_cache
def healthy_run():
    return spoilt_run("learning rate", 1.0)


def test_a_fault_of_no_severity_is_no_fault():
    found = [finding.cause for finding in diagnose(healthy_run())]
    assert not set(found) & {fault.cause for fault in FAULTS.values()}, found


# What shows in the very first steps, also of a model that has learnt nothing.
@pytest.mark.parametrize(
    ("name", "severity", "rate"),
    [
        ("top-k", 220, 1e-4),
        ("dropout left on", 0.2, 1e-4),
        ("padding counted", 100, 1e-4),
        ("end token never sampled", 100, 1e-4),
        ("KL coefficient 0", 0, 1e-4),
        ("stale log-probabilities", 1, 5e-3),
    ],
)
def test_a_real_run_that_was_spoilt_is_found(name, severity, rate):
    found = diagnose(spoilt_run(name, severity, learning_rate=rate))
    assert found[0].cause == FAULTS[name].cause, found


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_changes_the_run_and_lets_it_finish(name):
    severity = {"another chat template": 1, "reward on the wrong token": 0.0}.get(name, 5)
    severity = {"dropout left on": 0.1, "moving reference": 0.5}.get(name, severity)
    rows = spoilt_run(name, severity)
    assert len(rows) == 3
    assert all(math.isfinite(value) for row in rows for value in row.values())
    assert rows != healthy_run()


def test_a_run_that_breaks_off_leaves_its_history():
    tokenizer = tiny_tokenizer()
    job = Job(
        policy_that_ends(),
        policy_that_ends(),
        tokenizer,
        PROMPTS,
        tiny_reward_model(tokenizer, seed=1),
        ppo.PPOSettings(steps=9, batch_size=24, max_new_tokens=4, entropy_floor=50.0),
    )
    assert len(job.run(seed=0)) == 3  # entropy is below that floor three times in a row


def test_a_run_that_ends_badly_says_the_likeliest_cause():
    rows = [{"step": 1, "objective/kl": 0.0, "objective/kl_coef": 0.0}]
    error = ppo.PPOError("step 2: the policy has collapsed", rows)
    assert str(error).startswith("step 2: the policy has collapsed; likely cause: no KL")
    assert "\n" not in str(error) and error.history == rows
    healthy = [{**rows[0], "objective/kl_coef": 0.1}]
    assert str(ppo.PPOError("step 2: stopped", healthy)) == "step 2: stopped"
    assert str(ppo.PPOError("step 1: stopped")) == "step 1: stopped"
