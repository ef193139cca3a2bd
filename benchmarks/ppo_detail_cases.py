"""Implementation details of PPO, each as one change to a run: put in, or taken out.

A detail takes a `Job` (what `train_ppo` is called with) and changes it for as long as its context
lasts, from outside, as the faults of `ppo_faults.py` do. `ppo_details.py` runs them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rlhf_tutorial import ppo  # noqa: E402
from rlhf_tutorial.policy_with_value import PolicyWithValue  # noqa: E402
from rlhf_tutorial.ppo_faults_job import Job, other_settings  # noqa: E402
from rlhf_tutorial.ppo_math import (  # noqa: E402
    clipped_value_loss,
    gae,
    masked_mean,
    per_token_rewards,
    whiten,
)
from rlhf_tutorial.replies import Replies, ReplyForward  # noqa: E402
from rlhf_tutorial.sampling import Rollout  # noqa: E402

ENTROPY_BONUS = 0.01  # of the loss, as in "The 37 Implementation Details"
KL_TARGET = 4.0  # nats a reply; about where the quick preset's fixed β ends
OFF = 1e9  # a bound that nothing reaches


@dataclass(frozen=True)
class Detail:
    """One change. `change(job)` is a context in which the job has it."""

    words: str
    change: Callable[[Job], AbstractContextManager]


def settings(**changes) -> Callable[[Job], AbstractContextManager]:
    """A detail that is a setting."""
    return lambda job: other_settings(job, **changes)


def value_network(job: Job):
    """The values have a network of their own, which starts as the reward model."""
    return patch.object(job, "policy", PolicyWithValue(job.policy, job.reward_model))


def one_place_more(rollout: Rollout, width: int) -> Rollout:
    """Each reply with a place after its last token; one of the full width has no room for it."""
    empty = torch.zeros_like(rollout.reply_ids[:, :1])
    ids, mask = (torch.cat([part, empty], 1) for part in (rollout.reply_ids, rollout.reply_mask))
    lengths = rollout.reply_mask.sum(1).long()
    mask[torch.arange(len(mask)), lengths] = (lengths < width).to(mask.dtype)
    return replace(rollout, reply_ids=ids, reply_mask=mask)


@dataclass(frozen=True)
class LongerExperience(ppo.Experience):
    """Values and returns have the place after the end as well."""

    longer: Replies


@contextmanager
def after_the_end(job: Job) -> Iterator[None]:
    """The score stands one place after the reply's last token, and the value there is learnt."""
    plain_assess, plain_loss = ppo.assess, ppo.ppo_loss
    whole = job.settings.batch_size // job.settings.minibatches

    def assess(net, reference_net, replies, rollout, scores, beta, settings):
        plain = plain_assess(net, reference_net, replies, rollout, scores, beta, settings)
        device, width = replies.ids.device, replies.mask.shape[1]
        longer = Replies.of(one_place_more(rollout, settings.max_new_tokens), device)
        values = net.all_values(longer, settings.micro_batch_size)
        kl = nn.functional.pad(plain.kl, (0, longer.mask.shape[1] - width))
        rewards = per_token_rewards(plain.scores, kl, beta, longer.mask)
        advantages, returns = gae(rewards, values, longer.mask, settings.gamma, settings.lam)
        advantages = advantages[:, :width].masked_fill(~replies.mask, 0.0)
        if settings.whiten_advantages:
            advantages = whiten(advantages, replies.mask)
        new = {"values": values, "returns": returns, "advantages": advantages, "longer": longer}
        return LongerExperience(**(vars(plain) | new))

    def loss_of_all_places(net, batch, index, part, settings, count, warming=False):
        valueless = replace(settings, value_coefficient=0.0)
        loss, measures = plain_loss(net, batch, index, part, valueless, count, warming)
        longer = batch.longer.rows(index)
        states = net.states(longer, net.value_trunk)
        places = index, slice(longer.mask.shape[1])
        value_loss, _ = clipped_value_loss(
            longer.spread(net.value_head(states).squeeze(-1).float()),
            batch.values[places],
            batch.returns[places],
            longer.mask,
            settings.value_clip,
        )
        return loss + settings.value_coefficient * value_loss, measures

    with (
        other_settings(job, micro_batch_size=whole),  # a part is a minibatch: its mean is the mean
        patch.object(ppo, "assess", assess),
        patch.object(ppo, "ppo_loss", loss_of_all_places),
    ):
        yield


def together(*changes: Callable[[Job], AbstractContextManager]):
    """Several details at once."""

    @contextmanager
    def change(job: Job) -> Iterator[None]:
        with ExitStack() as stack:
            for one in changes:
                stack.enter_context(one(job))
            yield

    return change


def whole_batches(job: Job):
    """An epoch's last batch is dropped if it is not full."""
    plain = ppo.shuffled_epochs

    def batches(count: int, batch_size: int, *, seed: int) -> Iterator[list[int]]:
        if count < batch_size:
            raise ValueError(f"{count} prompts make no batch of {batch_size}")
        for epoch in plain(count, count, seed=seed):
            for start in range(0, count - batch_size + 1, batch_size):
                yield epoch[start : start + batch_size]

    return patch.object(ppo, "shuffled_epochs", batches)


def padding_ends(job: Job):
    """A sampled padding token ends the reply before it, but for one at the reply's start."""
    plain = ppo.sample

    def sample(model, tokenizer, prompts, **options) -> Rollout:
        rollout = plain(model, tokenizer, prompts, **options)
        padding = (rollout.reply_ids == tokenizer.pad_token_id) & rollout.reply_mask.bool()
        padding[:, 0] = False
        before = padding.cumsum(1) == 0
        return replace(rollout, reply_mask=rollout.reply_mask * before)

    return patch.object(ppo, "sample", sample)


def orthogonal_value_head(job: Job):
    actor = PolicyWithValue(job.policy)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        nn.init.orthogonal_(actor.value_head.weight)
    return patch.object(job, "policy", actor)


class EntropyForward(ReplyForward):
    """Keeps the entropies of the last pass with their gradient."""

    def distribution(self, states: torch.Tensor, temperature: float) -> torch.Tensor:
        found = super().distribution(states, temperature)
        self.entropies = -(found.exp() * found).sum(-1)
        return found


@contextmanager
def entropy_bonus(job: Job) -> Iterator[None]:
    plain = ppo.ppo_loss

    def loss_with_bonus(net, batch, index, part, settings, count, warming=False):
        loss, measures = plain(net, batch, index, part, settings, count, warming)
        bonus = masked_mean(part.spread(net.entropies), part.mask, count)
        return loss - ENTROPY_BONUS * bonus, measures

    with (
        patch.object(ppo, "ReplyForward", EntropyForward),
        patch.object(ppo, "ppo_loss", loss_with_bonus),
    ):
        yield


@contextmanager
def minibatch_whitening(job: Job) -> Iterator[None]:
    """Advantages are whitened within each minibatch, which is one part then."""
    plain = ppo.ppo_loss
    whole = job.settings.batch_size // job.settings.minibatches

    def whitened_loss(net, batch, index, part, settings, count, warming=False):
        advantages = batch.advantages.clone()
        time = part.mask.shape[1]
        advantages[index, :time] = whiten(advantages[index, :time], part.mask)
        batch = replace(batch, advantages=advantages)
        return plain(net, batch, index, part, settings, count, warming)

    with (
        other_settings(job, whiten_advantages=False, micro_batch_size=whole),
        patch.object(ppo, "ppo_loss", whitened_loss),
    ):
        yield


@contextmanager
def unbiased_variance(job: Job) -> Iterator[None]:
    """The variance of the advantages is divided by n - 1, as in TRL."""
    plain = ppo.whiten

    def whitened(values, mask, shift_mean=True):
        count = mask.sum()
        return plain(values, mask, shift_mean) * torch.sqrt((count - 1) / count)

    with patch.object(ppo, "whiten", whitened):
        yield


def constant_rate(job: Job):
    plain = ppo.set_rates
    return patch.object(ppo, "set_rates", lambda optimizer, share: plain(optimizer, 1.0))


@contextmanager
def tensorflow_adam(job: Job) -> Iterator[None]:
    """Epsilon joins the second moment before its bias is corrected: a larger epsilon at first."""
    plain = ppo.set_rates

    def rates_and_epsilon(optimizer, share: float) -> None:
        plain(optimizer, share)
        done = [int(state["step"]) for state in optimizer.state.values() if "step" in state]
        updates = 1 + max(done, default=0)
        for group in optimizer.param_groups:
            correction = (1 - group["betas"][1] ** updates) ** 0.5
            group["eps"] = job.settings.adam_epsilon / correction

    with patch.object(ppo, "set_rates", rates_and_epsilon):
        yield


@contextmanager
def minus_one(job: Job) -> Iterator[None]:
    """A reply that was cut off scores -1, whatever it says."""
    plain = job.reward

    def reward(rollout):
        return torch.where(rollout.finished, plain(rollout), -1.0)

    with patch.object(job, "reward", reward), other_settings(job, missing_eos_penalty=0.0):
        yield


PUT_IN = {
    "value network": Detail("a value network of its own, from the reward model", value_network),
    "after the end": Detail("score and a learnt value one place after the end", after_the_end),
    "TRL's values": Detail("these two together", together(value_network, after_the_end)),
    "whole batches": Detail("an epoch's last incomplete batch dropped", whole_batches),
    "padding ends": Detail("a sampled padding token ends the reply", padding_ends),
    "value warm-up": Detail(
        "3 first steps train the value head alone", settings(value_warmup_steps=3)
    ),
    "orthogonal": Detail("value head started orthogonal, not at 0", orthogonal_value_head),
    "entropy bonus": Detail(f"entropy bonus of {ENTROPY_BONUS:g}", entropy_bonus),
    "reward whitening": Detail("rewards whitened, mean kept", settings(whiten_rewards=True)),
    "minibatch whitening": Detail("advantages whitened a minibatch", minibatch_whitening),
    "n - 1": Detail("variance of the advantages over n − 1", unbiased_variance),
    "adaptive KL": Detail(f"adaptive β, target {KL_TARGET:g} nats", settings(kl_target=KL_TARGET)),
    "TensorFlow's Adam": Detail("Adam as in TensorFlow", tensorflow_adam),
    "minus one": Detail("−1 in place of the score of a cut-off reply", minus_one),
}
TAKEN_OUT = {
    "value clip": Detail("values not clipped", settings(value_clip=OFF)),
    "whitening": Detail("advantages not whitened", settings(whiten_advantages=False)),
    "gradient clip": Detail("gradient not clipped", settings(max_gradient_norm=OFF)),
    "epsilon": Detail("Adam's epsilon 1e-8", settings(adam_epsilon=1e-8)),
    "annealing": Detail("learning rates constant", constant_rate),
    "gains": Detail(
        "no rate of its own for the gains of the last norm",
        settings(final_norm_learning_rate=None),
    ),
    "cut-off penalty": Detail("no penalty for cut-off replies", settings(missing_eos_penalty=0.0)),
}
DETAILS = PUT_IN | TAKEN_OUT
