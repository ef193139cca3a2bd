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

    def in_parts(self, index: torch.Tensor, size: int) -> Iterator[torch.Tensor]:
        """`index` in parts of `size`, sorted by length so that little is padded."""
        lengths = (self.starts + self.mask.sum(1))[index]
        yield from index[lengths.argsort(stable=True)].split(size)


class ReplyForward(nn.Module):
    """One pass over prompts and replies: what PPO needs to know of each reply token."""

    def __init__(self, policy: nn.Module, value_head: nn.Module | None = None):
        super().__init__()
        self.policy, self.value_head = policy, value_head

    def forward(self, replies: Replies, temperature: float, train_trunk: bool = True):
        """Log-probabilities, values and entropies, each `(batch, reply_time)`, 0 on padding."""
        rows, columns = replies.mask.nonzero(as_tuple=True)
        hidden = self.policy.base_model(
            input_ids=replies.ids, attention_mask=torch.ones_like(replies.ids), use_cache=False
        ).last_hidden_state[rows, replies.starts[rows] + columns]
        hidden = hidden if train_trunk else hidden.detach()

        logits = self.policy.get_output_embeddings()(hidden).float() / temperature
        distribution = torch.log_softmax(logits, dim=-1)
        logprobs = distribution.gather(1, replies.labels[rows, columns].unsqueeze(1)).squeeze(1)
        with torch.no_grad():
            entropies = -(distribution.exp() * distribution).sum(-1)
        values = torch.zeros_like(logprobs)
        if self.value_head is not None:
            values = self.value_head(hidden).squeeze(-1).float()

        def spread(flat: torch.Tensor) -> torch.Tensor:
            return flat.new_zeros(replies.mask.shape).index_put((rows, columns), flat)

        return spread(logprobs), spread(values), spread(entropies)


@torch.no_grad()
def look(
    net: nn.Module, replies: Replies, temperature: float, micro_batch_size: int
) -> list[torch.Tensor]:
    """Log-probabilities, values and entropies of a whole batch, without gradients."""
    whole = [torch.zeros_like(replies.mask, dtype=torch.float32) for _ in range(3)]
    everyone = torch.arange(len(replies.mask), device=replies.mask.device)
    for index in replies.in_parts(everyone, micro_batch_size):
        part = net(replies.rows(index), temperature)
        for target, values in zip(whole, part, strict=True):
            target[index, : values.shape[1]] = values
    return whole
