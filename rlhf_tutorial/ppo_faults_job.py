"""What a run of PPO is made of, in one place, so that it can be spoilt on purpose."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from torch import nn

from rlhf_tutorial import ppo
from rlhf_tutorial.reward import score_rollout


@dataclass
class Job:
    """What `train_ppo` is called with. A fault may change any of it."""

    policy: nn.Module
    reference: nn.Module
    tokenizer: object
    prompts: Sequence[str]
    reward_model: nn.Module
    settings: ppo.PPOSettings
    reward: Callable | None = None  # of a rollout; by default the reward model's, standardised

    def __post_init__(self):
        self.reward = self.reward or (
            lambda rollout: score_rollout(
                self.reward_model, self.tokenizer, rollout, standardise=True
            )
        )

    def run(self, seed: int, callbacks: Sequence[Callable] = ()) -> list[dict]:
        """The history of a run; that of a run which ended in a PPOError is as good."""
        parts = (self.policy, self.reference, self.tokenizer, self.prompts, self.reward)
        try:
            return ppo.train_ppo(*parts, self.settings, seed=seed, callbacks=callbacks)
        except ppo.PPOError as error:
            return error.history


@contextmanager
def other_settings(job: Job, **changes) -> Iterator[None]:
    """Other settings of PPO for a while."""
    plain, job.settings = job.settings, replace(job.settings, **changes)
    try:
        yield
    finally:
        job.settings = plain
