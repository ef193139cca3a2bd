"""Sampled replies, laid out for training, and what one pass of a model says of each token.

Sampling pads prompts on the left; training moves every row to the left and pads on the right,
because causal attention never looks to the right: no mask is needed, rows sorted by length can be
cut short, and neither prompt padding nor reply padding can touch a result.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from rlhf_tutorial.sampling import Rollout


@dataclass(frozen=True)
class Replies:
    """Prompts and replies for training, right-padded: nothing that counts can see the padding."""

    ids: torch.Tensor  # (batch, time) prompt and reply, without the last token: it predicts nothing
    starts: torch.Tensor  # (batch,) place in ids that predicts the reply's first token
    labels: torch.Tensor  # (batch, reply_time) the reply's tokens
    mask: torch.Tensor  # (batch, reply_time) Boolean, true on the reply's tokens

    @classmethod
    def of(cls, rollout: Rollout, device) -> Replies:
        """Lay out a rollout: each row moves left by its prompt's padding."""
        ids = torch.cat([rollout.prompt_ids, rollout.reply_ids], dim=1)
        prompt_lengths = rollout.prompt_mask.sum(1).long()
        padding = rollout.prompt_ids.shape[1] - prompt_lengths
        places = torch.arange(ids.shape[1], device=ids.device) + padding.unsqueeze(1)
        ids = ids.gather(1, places.clamp(max=ids.shape[1] - 1))
        mask = rollout.reply_mask.bool()
        parts = (ids, prompt_lengths - 1, rollout.reply_ids, mask)
        return cls(*(part.to(device) for part in parts)).rows(torch.arange(len(ids), device=device))

    def rows(self, index: torch.Tensor) -> Replies:
        """The rows at `index`, cut to their own longest reply and text."""
        starts, mask = self.starts[index], self.mask[index]
        lengths = mask.sum(1)
        reply_time, time = int(lengths.max()), int((starts + lengths).max())
        labels = self.labels[index, :reply_time]
        return Replies(self.ids[index, :time], starts, labels, mask[:, :reply_time])

    def parts(
        self, size: int, index: torch.Tensor | None = None
    ) -> Iterator[tuple[torch.Tensor, Replies]]:
        """The rows at `index`, or all, `size` at a time; by length, so that little is padded."""
        if index is None:
            index = torch.arange(len(self.mask), device=self.mask.device)
        lengths = (self.starts + self.mask.sum(1))[index]
        for chosen in index[lengths.argsort(stable=True)].split(size):
            yield chosen, self.rows(chosen)

    def spread(self, flat: torch.Tensor) -> torch.Tensor:
        """Lay one number a reply token, row after row, out as `(batch, reply_time)`."""
        return flat.new_zeros(self.mask.shape).masked_scatter(self.mask, flat)


class ReplyForward(nn.Module):
    """One pass over prompts and replies: what PPO needs to know of each reply token.

    The value head reads the policy's states, or those of `value_trunk`, if there is one.
    """

    def __init__(
        self,
        policy: nn.Module,
        value_head: nn.Module | None = None,
        value_trunk: nn.Module | None = None,
    ):
        super().__init__()
        self.policy, self.value_head, self.value_trunk = policy, value_head, value_trunk

    def forward(self, replies: Replies, temperature: float, train_trunk: bool = True):
        """Log-probabilities, values and entropies, each `(batch, reply_time)`, 0 on padding."""
        states = self.states(replies)
        states = states if train_trunk else states.detach()
        distribution = self.distribution(states, temperature)
        with torch.no_grad():
            entropies = -(distribution.exp() * distribution).sum(-1)
        chosen = distribution.gather(1, replies.labels[replies.mask].unsqueeze(1)).squeeze(1)
        if self.value_trunk is not None:
            states = self.states(replies, self.value_trunk)
        values = self.value_head(states).squeeze(-1).float()
        return replies.spread(chosen), replies.spread(values), replies.spread(entropies)

    def states(self, replies: Replies, trunk: nn.Module | None = None) -> torch.Tensor:
        """Hidden states `(tokens, width)` that predict the reply tokens of all rows in turn.

        They are the policy's, or those of `trunk`.
        """
        trunk = self.policy.base_model if trunk is None else trunk
        hidden = trunk(
            input_ids=replies.ids, attention_mask=torch.ones_like(replies.ids), use_cache=False
        ).last_hidden_state
        rows, columns = replies.mask.nonzero(as_tuple=True)
        return hidden[rows, replies.starts[rows] + columns]

    def distribution(self, states: torch.Tensor, temperature: float) -> torch.Tensor:
        """Log-probabilities `(tokens, vocabulary)`."""
        logits = self.policy.get_output_embeddings()(states).float()
        return torch.log_softmax(logits / temperature, dim=-1)

    @torch.no_grad()
    def all_values(self, replies: Replies, micro_batch_size: int) -> torch.Tensor:
        """Values `(batch, reply_time)` of a whole batch; no head over the vocabulary is run."""
        whole = torch.zeros_like(replies.mask, dtype=torch.float32)
        for index, part in replies.parts(micro_batch_size):
            values = self.value_head(self.states(part, self.value_trunk)).squeeze(-1).float()
            whole[index, : part.mask.shape[1]] = part.spread(values)
        return whole

    @torch.no_grad()
    def all_logprobs(
        self, replies: Replies, temperature: float, micro_batch_size: int
    ) -> torch.Tensor:
        """Log-probabilities `(batch, reply_time)` of a whole batch."""
        whole = torch.zeros_like(replies.mask, dtype=torch.float32)
        for index, part in replies.parts(micro_batch_size):
            distribution = self.distribution(self.states(part), temperature)
            chosen = distribution.gather(1, part.labels[part.mask].unsqueeze(1)).squeeze(1)
            whole[index, : part.mask.shape[1]] = part.spread(chosen)
        return whole
