"""Faults put into real runs of tiny models: each does what it says, and leaves nothing behind."""

from __future__ import annotations

import copy
import math

import pytest
from tiny import tiny_model, tiny_reward_model, tiny_tokenizer

from rlhf_tutorial import ppo
from rlhf_tutorial.doctor import diagnose
from rlhf_tutorial.ppo_faults import FAULTS, Job

PROMPTS = ["hi", "where is the cat", "good day", "no", "thank you and your dog", "yes please"]
PROMPTS += [f"{first} {second}" for first in ("cat", "dog", "day") for second in ("yes", "here")]


def spoilt_run(name: str, severity: float, **changes) -> list[dict]:
    tokenizer = tiny_tokenizer()
    policy = tiny_model(tokenizer, initializer_range=0.1)
    settings = {"steps": 3, "batch_size": 24, "max_new_tokens": 12, "learning_rate": 1e-4}
    job = Job(
        policy,
        copy.deepcopy(policy),
        tokenizer,
        PROMPTS,
        tiny_reward_model(tokenizer, seed=1),
        ppo.PPOSettings(**{**settings, **changes}),
    )
    before = {name: getattr(ppo, name) for name in ("sample", "update", "assess")}
    with FAULTS[name].spoil(job, severity):
        rows = job.run(seed=0)
    assert {name: getattr(ppo, name) for name in before} == before  # nothing stays spoilt
    return rows


# What shows in the very first steps, also of a model that has learnt nothing.
@pytest.mark.parametrize(
    ("name", "severity"),
    [
        ("top-k", 20),
        ("dropout left on", 0.2),
        ("padding counted", 100),
        ("end token never sampled", 100),
        ("KL coefficient 0", 0),
        ("stale log-probabilities", 1),
    ],
)
def test_a_real_run_that_was_spoilt_is_found(name, severity):
    rows = spoilt_run(name, severity)
    assert FAULTS[name].cause in [finding.cause for finding in diagnose(rows)], diagnose(rows)


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_changes_the_run_and_lets_it_finish(name):
    severity = {"another chat template": 1, "reward on the wrong token": 0.0}.get(name, 5)
    severity = {"dropout left on": 0.1, "moving reference": 0.5}.get(name, severity)
    healthy = spoilt_run("learning rate", 1.0)
    rows = spoilt_run(name, severity)
    assert len(rows) == 3
    assert all(math.isfinite(value) for row in rows for value in row.values())
    assert rows != healthy
