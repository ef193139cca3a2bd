"""Faults in what PPO learns from: how replies are sampled, padded, masked and ended.

Each spoils a `Job` for as long as its context lasts; `ppo_faults.FAULTS` names them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest.mock import patch

import torch
from torch import nn

from rlhf_tutorial import decoding, ppo, sampling
from rlhf_tutorial.ppo_faults_job import Job
from rlhf_tutorial.replies import Replies


class _NoEnd:
    """A decoder that never lets the end token come among the first `length` tokens."""

    def __init__(self, model, end: int, length: int):
        self.inner, self.end, self.left = decoding.decoder_for(model), end, length
        self.repeat, self.keep = self.inner.repeat, self.inner.keep

    def _without_end(self, logits: torch.Tensor) -> torch.Tensor:
        if self.left <= 0:
            return logits
        self.left -= 1
        logits = logits.clone()
        logits[:, self.end] = -torch.inf
        return logits

    def read(self, ids, mask, room):
        return self._without_end(self.inner.read(ids, mask, room))

    def step(self, tokens):
        return self._without_end(self.inner.step(tokens))


@contextmanager
def other_sampling(recomputed: bool = False, **options) -> Iterator[None]:
    """Sample with other options; `recomputed` asks the model for log-probabilities once more."""
    plain = ppo.sample

    def sample(model, tokenizer, prompts, *, temperature, **rest):
        rollout = plain(model, tokenizer, prompts, temperature=temperature, **rest, **options)
        if recomputed:
            with torch.no_grad():
                rollout.logprobs = sampling.reply_logprobs(model, rollout, temperature)
        return rollout

    with patch.object(ppo, "sample", sample):
        yield


def shortest(recomputed: bool):
    def spoil(job: Job, tokens: float):
        end = job.tokenizer.eos_token_id
        return other_sampling(recomputed, decoder=lambda model: _NoEnd(model, end, int(tokens)))

    return spoil


# ---- padding and the end token ----


@contextmanager
def padding_on_the_right(job: Job, _: float) -> Iterator[None]:
    """Prompts are padded where their replies should follow."""
    pad_left = sampling.pad_left

    def pad_right(rows, pad_id, device=None):
        ids, mask = pad_left([row[::-1] for row in rows], pad_id, device)
        return ids.flip(1), mask.flip(1)

    with patch.object(sampling, "pad_left", pad_right):
        yield


@contextmanager
def padding_moves_positions(job: Job, _: float) -> Iterator[None]:
    """While sampling, a token's position counts the padding before it."""
    with patch.object(decoding, "positions", lambda mask: (mask >= 0).long().cumsum(-1) - 1):
        yield


@contextmanager
def _masks(change: Callable[[Replies], torch.Tensor]) -> Iterator[None]:
    """Replies with another mask; no row loses its first token."""
    plain = Replies.of

    def of(rollout, device):
        replies = plain(rollout, device)
        # Wide enough for the batch's longest text: `rows` would have cut it to the old masks.
        mask = change(replies)
        mask[:, 0] = True
        longest = int((replies.starts + mask.sum(1)).max())
        missing = longest - replies.ids.shape[1]
        ids = nn.functional.pad(replies.ids, (0, max(0, missing)))
        return Replies(ids, replies.starts, replies.labels, mask)

    with patch.object(ppo.Replies, "of", staticmethod(of)):
        yield


def padding_counted(job: Job, tokens: float):
    """The mask goes on for some tokens after a reply's end, as far as the batch is wide."""

    def longer(replies):
        steps = torch.arange(replies.mask.shape[1], device=replies.mask.device)
        return steps < replies.mask.sum(1, keepdim=True) + int(tokens)

    return _masks(longer)


def end_not_counted(job: Job, _: float):
    """The mask leaves the end token out, as when it is also the padding token."""
    end = job.tokenizer.eos_token_id
    return _masks(lambda replies: replies.mask & (replies.labels != end))
