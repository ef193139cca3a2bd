"""What PPO trains: a language model with values, what reward it still expects at each place.

Source: a value head on the policy's trunk, Ziegler et al. 2019, arXiv 1909.08593; a network of its
own that starts as the reward model, Huang et al. 2024, arXiv 2403.17031, and TRL.
"""

from __future__ import annotations

import copy
import shutil
from pathlib import Path

import torch
from torch import nn

from rlhf_tutorial.models import load_language_model, load_trunk, reward_scale

VALUE_HEAD_FILE = "value_head.safetensors"
VALUE_TRUNK_FOLDER = "value_trunk"  # where the values have a trunk of their own


class PolicyWithValue(nn.Module):
    """A language model, and what reward is still expected at each place: the values.

    By default they are a linear head on the policy's own trunk, so that a PPO step runs one trunk.
    It starts at 0: the first advantages are then the returns themselves and not the noise of a
    random head. With `value_model`, a reward model, they have a trunk of their own, and trunk and
    head start as a copy of it, in the units of `reward.score_ids(..., standardise=True)` (as in
    TRL, and in Huang et al. 2024, arXiv 2403.17031). That takes a pass more, and its memory.
    Raises ValueError if the value model cannot read what the policy writes.
    """

    def __init__(self, policy, value_model=None):
        super().__init__()
        self.policy = policy
        self.register_module("value_trunk", None)  # before the head, also when it is loaded later
        if value_model is None:
            self.value_head = nn.Linear(policy.config.n_embd, 1)
            nn.init.zeros_(self.value_head.weight)
            nn.init.zeros_(self.value_head.bias)
        else:
            _check_value_model(value_model, policy)
            self.value_trunk = copy.deepcopy(value_model.base_model).requires_grad_(True)
            self.value_head = _standardised_head(value_model)
        self.to(policy.device)

    @property
    def config(self):
        return self.policy.config

    def values(self, hidden: torch.Tensor) -> torch.Tensor:
        """Values `(...)` from hidden states `(..., hidden)` of the trunk that the head reads."""
        return self.value_head(hidden).squeeze(-1)

    def save_pretrained(self, path: str | Path) -> None:
        """Write the policy as a standard folder and what gives the values beside it."""
        from safetensors.torch import save_file

        self.policy.save_pretrained(path)
        save_file(self.value_head.state_dict(), str(Path(path) / VALUE_HEAD_FILE))
        trunk = Path(path) / VALUE_TRUNK_FOLDER
        if self.value_trunk is not None:
            self.value_trunk.save_pretrained(trunk)
        else:  # one that an earlier policy left there would be taken for this one's
            shutil.rmtree(trunk, ignore_errors=True)

    @classmethod
    def from_pretrained(cls, path: str | Path, tokenizer=None) -> PolicyWithValue:
        """Load what `save_pretrained` wrote; without a saved value head, start from a fresh one."""
        from safetensors.torch import load_file

        policy = cls(load_language_model(path, tokenizer))
        trunk = Path(path) / VALUE_TRUNK_FOLDER
        if trunk.exists():
            policy.value_trunk = load_trunk(trunk, tokenizer)
            policy.value_head = nn.Linear(policy.value_trunk.config.n_embd, 1)
        file = Path(path) / VALUE_HEAD_FILE
        if file.exists():
            policy.value_head.load_state_dict(load_file(str(file)))
        return policy


def _check_value_model(value_model, policy) -> None:
    """ValueError unless the value model gives one score and reads the policy's tokens."""
    if getattr(value_model, "score", None) is None or value_model.config.num_labels != 1:
        raise ValueError(
            f"value_model is a {type(value_model).__name__}: give a reward model, which has one "
            "score a text (`build_reward_model`)"
        )
    theirs, ours = value_model.config, policy.config
    if (theirs.vocab_size, theirs.n_positions) != (ours.vocab_size, ours.n_positions):
        raise ValueError(
            f"the value model knows {theirs.vocab_size} tokens and reads {theirs.n_positions} at "
            f"once, the policy {ours.vocab_size} and {ours.n_positions}: take a reward model that "
            "was made from the same language model"
        )


def _standardised_head(reward_model) -> nn.Linear:
    """The head that gives the reward model's scores less their mean, over their deviation."""
    mean, std = reward_scale(reward_model)
    head = nn.Linear(reward_model.config.n_embd, 1)
    with torch.no_grad():
        head.weight.copy_(reward_model.score.weight / std)
        head.bias.fill_(-mean / std)
    return head
