"""Faults in how PPO learns: the reward, the KL, the settings, the models.

Each spoils a `Job` for as long as its context lasts; `ppo_faults.FAULTS` names them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest.mock import patch

import torch
from torch import nn

from rlhf_tutorial import ppo
from rlhf_tutorial.policy_with_value import PolicyWithValue
from rlhf_tutorial.ppo_faults_job import Job, other_settings
from rlhf_tutorial.replies import ReplyForward
from rlhf_tutorial.reward import score_ids
from rlhf_tutorial.tokenizer import encode_texts


def _template(text: str, with_end: bool) -> Callable[[Job], Callable]:
    def reward_of(job: Job):
        def reward(rollout):
            texts = [
                text.format(prompt=prompt, reply=reply)
                for prompt, reply in zip(rollout.prompts, rollout.texts, strict=True)
            ]
            end = [job.tokenizer.eos_token_id] * with_end
            rows = [ids + end for ids in encode_texts(job.tokenizer, texts)]
            pad = job.tokenizer.pad_token_id
            return score_ids(job.reward_model, rows, pad, standardise=True)

        return reward

    return reward_of


TEMPLATES = (
    _template(" User: {prompt}\n Assistant: {reply}", with_end=False),
    _template(" {prompt} {reply}", with_end=True),
    _template("### Instruction: {prompt}\n\n### Response: {reply}", with_end=True),
)


def other_template(job: Job, which: float):
    return patch.object(job, "reward", TEMPLATES[int(which)](job))


@contextmanager
def wrong_token(job: Job, place: float) -> Iterator[None]:
    """The score goes to the token that stands at this share of the reply: 0 is the first."""
    plain = ppo.per_token_rewards

    def misplaced(scores, kl, beta, mask):
        last = mask.sum(1, keepdim=True).long() - 1
        rewards = plain(torch.zeros_like(scores), kl, beta, mask)
        return rewards.scatter_add(1, (last * place).long(), scores.unsqueeze(1))

    with patch.object(ppo, "per_token_rewards", misplaced):
        yield


@contextmanager
def kl_sign(job: Job, beta: float) -> Iterator[None]:
    """Each token is paid for moving away from the reference."""
    plain = ppo.per_token_rewards
    flipped = patch.object(
        ppo, "per_token_rewards", lambda scores, kl, beta, mask: plain(scores, -kl, beta, mask)
    )
    with flipped, other_settings(job, kl_coefficient=beta):
        yield


def rate(job: Job, times: float):
    return other_settings(job, learning_rate=times * job.settings.learning_rate)


def all_rates(job: Job, times: float):
    """That of the last norm's gains too, if they have one."""
    gains = job.settings.final_norm_learning_rate
    return other_settings(
        job,
        learning_rate=times * job.settings.learning_rate,
        final_norm_learning_rate=None if gains is None else times * gains,
    )


@contextmanager
def value_head(job: Job, coefficient: float) -> Iterator[None]:
    """A value head of random weights, whose loss outweighs the policy's."""
    actor = PolicyWithValue(job.policy)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        nn.init.normal_(actor.value_head.weight, std=0.3)
    with patch.object(job, "policy", actor), other_settings(job, value_coefficient=coefficient):
        yield


@contextmanager
def _around_update(before: Callable, after: Callable) -> Iterator[None]:
    """Call `before(net)` and `after(net)` at each update."""
    plain = ppo.update

    def update(net, *rest, **options):
        before(net)
        measures = plain(net, *rest, **options)
        after(net)
        return measures

    with patch.object(ppo, "update", update):
        yield


@contextmanager
def dropout(job: Job, share: float) -> Iterator[None]:
    """The policy learns in training mode, with dropout, and samples without."""
    plain = {module: module.p for module in job.policy.modules() if isinstance(module, nn.Dropout)}
    for module in plain:
        module.p = share
    try:
        with _around_update(lambda net: net.train(), lambda net: net.eval()):
            yield
    finally:
        for module, p in plain.items():
            module.p = p


@contextmanager
def stale(job: Job, steps: float) -> Iterator[None]:
    """Old log-probabilities are those of the policy as it was some steps ago."""
    policies: list = []  # of the last steps, oldest first
    plain = ppo.assess

    def assess(net, reference_net, replies, rollout, scores, beta, settings):
        policies.append(copy.deepcopy(net.policy))
        del policies[: -int(steps) - 1]
        options = (settings.temperature, settings.micro_batch_size)
        rollout.logprobs = ReplyForward(policies[0]).all_logprobs(replies, *options)
        return plain(net, reference_net, replies, rollout, scores, beta, settings)

    with patch.object(ppo, "assess", assess):
        yield


@contextmanager
def moving_reference(job: Job, share: float) -> Iterator[None]:
    """After each step the reference goes this share of the way to the policy."""

    @torch.no_grad()
    def follow(_net):
        for mine, its in zip(job.reference.parameters(), job.policy.parameters(), strict=True):
            mine.lerp_(its, share)

    with _around_update(lambda _net: None, follow):
        yield
