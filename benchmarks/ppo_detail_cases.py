"""Implementation details of PPO, each as one change to a run: put in, or taken out.

A detail takes a `Job` (what `train_ppo` is called with) and changes it for as long as its context
lasts, from outside, as the faults of `ppo_faults.py` do. `ppo_details.py` runs them.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rlhf_tutorial import ppo  # noqa: E402
from rlhf_tutorial.models import PolicyWithValue  # noqa: E402
from rlhf_tutorial.ppo_faults_job import Job, other_settings  # noqa: E402
from rlhf_tutorial.ppo_math import masked_mean, whiten  # noqa: E402
from rlhf_tutorial.replies import ReplyForward  # noqa: E402

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


class ValueNetwork(nn.Module):
    """A network of its own for the values, which starts as the reward model."""

    def __init__(self, reward_model):
        super().__init__()
        self.model = copy.deepcopy(reward_model)
        self.trunk = ReplyForward(self.model)
        self.mean = getattr(reward_model.config, "reward_mean", 0.0)
        self.std = getattr(reward_model.config, "reward_std", 1.0)

    def forward(self, replies) -> torch.Tensor:
        """Values `(tokens,)` of the places that predict the reply tokens."""
        scores = self.model.score(self.trunk.states(replies)).squeeze(-1).float()
        return (scores - self.mean) / self.std


class TwoNetworks(ReplyForward):
    """Reads each reply twice: the policy's trunk does not learn values."""

    def forward(self, replies, temperature: float, train_trunk: bool = True):
        distribution = self.distribution(self.states(replies), temperature)
        with torch.no_grad():
            entropies = -(distribution.exp() * distribution).sum(-1)
        chosen = distribution.gather(1, replies.labels[replies.mask].unsqueeze(1)).squeeze(1)
        return tuple(replies.spread(flat) for flat in (chosen, self.value_head(replies), entropies))

    @torch.no_grad()
    def all_values(self, replies, micro_batch_size: int) -> torch.Tensor:
        whole = torch.zeros_like(replies.mask, dtype=torch.float32)
        for index, part in replies.parts(micro_batch_size):
            whole[index, : part.mask.shape[1]] = part.spread(self.value_head(part))
        return whole


@contextmanager
def value_network(job: Job) -> Iterator[None]:
    actor = PolicyWithValue(job.policy)
    actor.value_head = ValueNetwork(job.reward_model)
    with patch.object(job, "policy", actor), patch.object(ppo, "ReplyForward", TwoNetworks):
        yield


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
