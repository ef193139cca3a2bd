"""Sampling: many replies at once, with the log-probability of every token.

Prompts are sorted by length, read in batches padded on the left, and each is read once however
many replies it gets. A token is drawn by looking up one uniform number in the cumulative sum of
the probabilities. Rows that have ended leave the batch.

Every reply has its own row of uniform numbers, drawn from the seed before anything is decoded. So
a reply depends on the seed and its place in the list, and not on the batch it happened to be in.

Simplified: no beams, no penalties, no stop words; a reply stops at the end token or at
`max_new_tokens`. No token is forbidden, so that log-probabilities are those of the model itself.

Source: top-k, Fan et al. 2018, arXiv 1805.04833; top-p (nucleus), Holtzman et al. 2019,
arXiv 1904.09751.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from rlhf_tutorial.decoding import decoder_for, positions
from rlhf_tutorial.tokenizer import Prompt, decode_replies, encode_prompts

# Ended rows are dropped when they are this share of the batch: dropping copies the cache, and to do
# it at each ending costs more than to carry a few dead rows along.
DROP_SHARE = 0.2


@dataclass
class Rollout:
    """Prompts and sampled replies, one row a reply, ordered as the prompts were given."""

    prompts: list[Prompt]  # one a row: a prompt with 4 replies stands 4 times
    prompt_ids: torch.Tensor  # (batch, prompt_time), padded on the left
    prompt_mask: torch.Tensor  # (batch, prompt_time), 1 on prompt tokens
    reply_ids: torch.Tensor  # (batch, reply_time), padded on the right
    reply_mask: torch.Tensor  # (batch, reply_time), 1 on reply tokens and the end token
    logprobs: torch.Tensor  # (batch, reply_time), of the sampled tokens, in nats; 0 on padding
    finished: torch.Tensor  # (batch,), True where the reply ended by itself
    texts: list[str]  # the replies, without special tokens

    def __len__(self) -> int:
        return len(self.texts)


def log_distribution(
    logits: torch.Tensor, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0
) -> torch.Tensor:
    """Log-probabilities `(..., vocabulary)` of the distribution that is sampled from.

    First the temperature, then the `top_k` likeliest tokens (0: all; equals of the last one stay),
    then the smallest set of tokens with `top_p` of the probability (1: all), made to sum to 1
    again. What is left out has log-probability -inf.
    """
    if temperature != 1.0:
        logits = logits / temperature
    if 0 < top_k < logits.size(-1):
        smallest = logits.topk(top_k, dim=-1).values[..., -1:]
        logits = logits.masked_fill(logits < smallest, -torch.inf)
    if top_p < 1.0:
        ordered, order = logits.softmax(-1).sort(dim=-1, descending=True)
        before = ordered.cumsum(-1) - ordered  # probability of all likelier tokens
        outside = (before >= top_p).scatter(-1, order, before >= top_p)
        logits = logits.masked_fill(outside, -torch.inf)
    return logits.log_softmax(-1)


def draw(log_probabilities: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """Draw one token a row: `(batch, vocabulary)` and uniform numbers in [0, 1) `(batch,)`.

    The token is the first whose cumulative probability exceeds the uniform number. It takes a
    twentieth of the time of `torch.multinomial` on a processor.
    """
    cumulative = log_probabilities.exp().cumsum(-1)
    wanted = uniform[:, None] * cumulative[:, -1:]  # rounding: the sum is not quite 1
    tokens = torch.searchsorted(cumulative, wanted, right=True).squeeze(-1)
    return tokens.clamp(max=log_probabilities.size(-1) - 1)


@torch.no_grad()
def sample(
    model,
    tokenizer,
    prompts: Sequence[Prompt],
    *,
    replies_per_prompt: int = 1,
    max_new_tokens: int = 48,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    seed: int = 0,
    batch_size: int = 128,
    chat: bool = True,
    decoder=None,
) -> Rollout:
    """Sample `replies_per_prompt` replies to each prompt.

    Args:
        model: a `GPT2LMHeadModel` or a `PolicyWithValue`; left in the mode (train or eval) it was.
        prompts: texts or conversations; rows come out as prompt 0's replies, prompt 1's, ...
        max_new_tokens: longest reply in tokens, the end token included.
        temperature, top_k, top_p: see `log_distribution`; `top_k=1` takes the likeliest token.
        seed: the same seed gives the same replies, whatever the batch size.
        batch_size: most rows at a time.
        chat: False lets a base model continue the text instead; see `encode_prompt`.
        decoder: a class of decoding.py; by default the fastest that knows the model.

    Returns:
        Rollout: its log-probabilities are those of the distribution really sampled from:
        with temperature 1 and no truncation, the model's own.

    Raises:
        ValueError: no prompts, a setting out of range, or a prompt too long for the context.
    """
    _check_settings(replies_per_prompt, max_new_tokens, temperature, top_k, top_p, batch_size)
    model = getattr(model, "policy", model)
    if len(prompts) == 0:
        raise ValueError("no prompts to answer: give at least one")
    encoded = encode_prompts(tokenizer, prompts, chat=chat)
    _check_lengths(encoded, max_new_tokens, model.config.n_positions)

    device, pad = model.device, tokenizer.pad_token_id
    rows = len(prompts) * replies_per_prompt
    generator = torch.Generator().manual_seed(seed)
    uniform = torch.rand(rows, max_new_tokens, generator=generator).to(device)
    reply_ids = torch.full((rows, max_new_tokens), pad, device=device)
    logprobs = torch.zeros(rows, max_new_tokens, device=device)

    was_training = model.training
    model.eval()
    order = sorted(range(len(prompts)), key=lambda index: len(encoded[index]))
    group = max(1, batch_size // replies_per_prompt)
    for start in range(0, len(order), group):
        members = order[start : start + group]
        ids, mask = pad_left([encoded[index] for index in members], pad, device)
        decode = decoder(model) if decoder else decoder_for(model)
        logits = decode.read(ids, mask, max_new_tokens)
        first = torch.tensor(members, device=device) * replies_per_prompt
        active = (first[:, None] + torch.arange(replies_per_prompt, device=device)).flatten()
        if replies_per_prompt > 1:
            decode.repeat(replies_per_prompt)
            logits = logits.repeat_interleave(replies_per_prompt, 0)
        alive, chances = torch.ones_like(active, dtype=torch.bool), uniform[active]
        for time in range(max_new_tokens):
            distribution = log_distribution(logits, temperature, top_k, top_p)
            tokens = draw(distribution, chances[:, time])
            # Rows that have ended are written to until they are dropped; `written` hides it below.
            reply_ids[active, time] = tokens
            logprobs[active, time] = distribution.gather(1, tokens[:, None]).squeeze(1)
            alive &= tokens != tokenizer.eos_token_id
            left = int(alive.sum())
            if left == 0 or time + 1 == max_new_tokens:
                break
            if left <= (1 - DROP_SHARE) * len(alive):
                kept = alive.nonzero().squeeze(1)
                decode.keep(kept)
                active, tokens, chances = active[kept], tokens[kept], chances[kept]
                alive = alive[kept]
            logits = decode.step(tokens)
    model.train(was_training)

    ended, written = up_to_the_end(reply_ids, tokenizer.eos_token_id)
    lengths = written.sum(1).tolist()
    reply_ids, logprobs, written = (
        part[:, : max(lengths)] for part in (reply_ids, logprobs, written)
    )
    prompt_ids, prompt_mask = pad_left(encoded, pad, device)
    replies = [row[:length] for row, length in zip(reply_ids.tolist(), lengths, strict=True)]
    return Rollout(
        prompts=[prompt for prompt in prompts for _ in range(replies_per_prompt)],
        prompt_ids=prompt_ids.repeat_interleave(replies_per_prompt, 0),
        prompt_mask=prompt_mask.repeat_interleave(replies_per_prompt, 0),
        reply_ids=reply_ids.masked_fill(~written, pad),
        reply_mask=written.long(),
        logprobs=logprobs.masked_fill(~written, 0.0),
        finished=ended,
        texts=decode_replies(tokenizer, replies),
    )


def up_to_the_end(ids: torch.Tensor, end_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Which rows of `(batch, time)` have an end token, and which places stand up to the first one.

    Both Boolean, `(batch,)` and `(batch, time)`. The end token counts as written; in a row without
    one all places do.
    """
    ends = (ids == end_id).long()
    return ends.any(1), ends.cumsum(1) - ends == 0


def reply_hidden(model, rollout) -> torch.Tensor:
    """Last hidden states `(batch, reply_time, width)` from which each reply token is predicted.

    One fresh forward pass over prompts and replies; gradients flow. `rollout` may be anything
    with prompt_ids, prompt_mask, reply_ids and reply_mask.
    """
    ids = torch.cat([rollout.prompt_ids, rollout.reply_ids[:, :-1]], dim=1)
    mask = torch.cat([rollout.prompt_mask, rollout.reply_mask[:, :-1]], dim=1)
    hidden = model.base_model(
        input_ids=ids, attention_mask=mask, position_ids=positions(mask), use_cache=False
    ).last_hidden_state
    return hidden[:, rollout.prompt_ids.size(1) - 1 :]


def reply_logprobs(
    model, rollout, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0
) -> torch.Tensor:
    """Log-probabilities `(batch, reply_time)` of the reply tokens, 0 on padding, in nats.

    A fresh forward pass; the vocabulary head, the widest layer, runs only where a reply stands.
    """
    model = getattr(model, "policy", model)
    real = rollout.reply_mask.bool()
    logits = model.get_output_embeddings()(reply_hidden(model, rollout)[real])
    distribution = log_distribution(logits, temperature, top_k, top_p)
    chosen = distribution.gather(1, rollout.reply_ids[real][:, None]).squeeze(1)
    return chosen.new_zeros(real.shape).masked_scatter(real, chosen)


def pad_left(
    rows: Sequence[Sequence[int]], pad_id: int, device=None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and mask, both `(batch, time)`, padded on the left."""
    time = max(len(row) for row in rows)
    ids = torch.tensor([[pad_id] * (time - len(row)) + list(row) for row in rows], device=device)
    lengths = torch.tensor([len(row) for row in rows], device=device)
    return ids, (torch.arange(time, device=device) >= time - lengths[:, None]).long()


def _check_settings(replies_per_prompt, max_new_tokens, temperature, top_k, top_p, batch_size):
    for name, value in (
        ("replies_per_prompt", replies_per_prompt),
        ("max_new_tokens", max_new_tokens),
        ("batch_size", batch_size),
    ):
        if value < 1:
            raise ValueError(f"{name} is {value}, expected at least 1")
    if not temperature > 0:
        raise ValueError(
            f"temperature is {temperature}, expected more than 0 "
            "(top_k=1 always takes the likeliest token)"
        )
    if top_k < 0:
        raise ValueError(f"top_k is {top_k}, expected 0 (all tokens) or more")
    if not 0 < top_p <= 1:
        raise ValueError(f"top_p is {top_p}, expected more than 0 and at most 1 (all tokens)")


def _check_lengths(encoded: list[list[int]], max_new_tokens: int, context: int) -> None:
    for index, ids in enumerate(encoded):
        if len(ids) + max_new_tokens > context:
            raise ValueError(
                f"prompt {index} has {len(ids)} tokens, which with {max_new_tokens} new ones does "
                f"not fit the model's context of {context}: shorten it or lower max_new_tokens"
            )
