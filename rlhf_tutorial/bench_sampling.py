"""Sampling against `model.generate` of transformers: tokens a second, log-probabilities included.

Both sides start from the same texts and end with tokens, their log-probabilities and texts, at
temperature 1 and without truncation, with the same weights in the same kind of model, and both keep
a KV cache. `generate` is asked for its logits, and each step's are normalised at the drawn token
only. Encoding and decoding are ours on both sides, since they are the faster.

Every reply is measured twice: once it ends where the model ends it, once the end token cannot be
drawn and each reply has full length. Tokens after the end of a reply do not count.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence

import torch
from torch import nn

from rlhf_tutorial import sampling
from rlhf_tutorial.bench_timing import Comparison, in_turns
from rlhf_tutorial.tokenizer import decode_replies, encode_prompts

BATCHES = {128: 1, 8: 4}  # rows a batch: batches a turn, one call each; small ones vary more
LENGTHS = (32, 48)  # new tokens at most
REACH = {"ending by themselves": 2.5, "full length": 1.5}
NEVER = -1e4  # logit of a token that is never drawn; exp of it is 0


@torch.no_grad()
def never_ending(model, end_id: int):
    """A copy of a GPT-2 that never draws the end token, at the same cost a token.

    The last hidden state gets one coordinate that is always 1, and the head reads from it that
    the end token is out of the question. The head is no longer tied to the embedding. It costs
    one coordinate of the old model.
    """
    copied = copy.deepcopy(model)
    norm, head = copied.transformer.ln_f, copied.lm_head
    norm.weight[-1], norm.bias[-1] = 0.0, 1.0
    weight = head.weight.clone()
    weight[:, -1] = 0.0
    weight[end_id] = 0.0
    weight[end_id, -1] = NEVER
    head.weight = nn.Parameter(weight)
    copied.config.tie_word_embeddings = False
    return copied.eval()


@torch.no_grad()
def generate(
    model, tokenizer, prompts: Sequence[str], *, max_new_tokens: int, seed: int
) -> sampling.Rollout:
    """What `sampling.sample` returns, by `model.generate`; one batch, one reply a prompt."""
    pad, end = tokenizer.pad_token_id, tokenizer.eos_token_id
    ids, mask = sampling.pad_left(encode_prompts(tokenizer, prompts), pad)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        output = model.generate(
            input_ids=ids,
            attention_mask=mask,
            do_sample=True,
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            max_new_tokens=max_new_tokens,
            eos_token_id=end,
            pad_token_id=pad,
            return_dict_in_generate=True,
            output_logits=True,
        )
    reply_ids = output.sequences[:, ids.size(1) :]
    logprobs = torch.stack(
        [
            logits.gather(1, tokens[:, None]).squeeze(1) - logits.logsumexp(-1)
            for logits, tokens in zip(output.logits, reply_ids.unbind(1), strict=True)
        ],
        dim=1,
    )
    ended, written = sampling.up_to_the_end(reply_ids, end)
    reply_mask = written.long()
    lengths = reply_mask.sum(1).tolist()
    written = [row[:length] for row, length in zip(reply_ids.tolist(), lengths, strict=True)]
    return sampling.Rollout(
        prompts=list(prompts),
        prompt_ids=ids,
        prompt_mask=mask,
        reply_ids=reply_ids.masked_fill(reply_mask == 0, pad),
        reply_mask=reply_mask,
        logprobs=logprobs * reply_mask,
        finished=ended,
        texts=decode_replies(tokenizer, written),
    )


def tokens_a_second(sampler, batches: Sequence[Sequence[str]], seed: int) -> float:
    """Reply tokens a second of `sampler(prompts, seed) -> Rollout`, one call a batch."""
    start = time.perf_counter()
    rollouts = [sampler(batch, seed + number) for number, batch in enumerate(batches)]
    seconds = time.perf_counter() - start
    return sum(int(rollout.reply_mask.sum()) for rollout in rollouts) / seconds


def measure(
    model,
    tokenizer,
    prompts: Sequence[str],
    *,
    turns: int,
    batches: dict[int, int] | None = None,
    lengths: Sequence[int] | None = None,
) -> list[Comparison]:
    """One comparison for each batch size, way of ending and length.

    Args:
        prompts: at least as many as the largest batch has rows.
        batches: rows a batch and how many such batches a turn has; `BATCHES` if None.
        lengths: new tokens at most; `LENGTHS` if None.

    Raises:
        ValueError: too few prompts, or no turn.
    """
    batches, lengths = batches or BATCHES, lengths or LENGTHS
    needed = max(rows * count for rows, count in batches.items())
    if len(prompts) < needed:
        raise ValueError(f"{len(prompts)} prompts were given: at least {needed} are needed")
    models = {
        "ending by themselves": model,
        "full length": never_ending(model, tokenizer.eos_token_id),
    }
    return [
        _compare(models[ending], tokenizer, prompts, rows, count, length, ending, turns)
        for rows, count in batches.items()
        for ending in REACH
        for length in lengths
    ]


def _compare(model, tokenizer, prompts, rows, count, length, ending, turns) -> Comparison:
    groups = [prompts[rows * number : rows * (number + 1)] for number in range(count)]

    def sample(batch, seed):
        return sampling.sample(
            model, tokenizer, batch, max_new_tokens=length, seed=seed, batch_size=rows
        )

    def theirs(batch, seed):
        return generate(model, tokenizer, batch, max_new_tokens=length, seed=seed)

    ours, others = in_turns(
        lambda turn: tokens_a_second(sample, groups, turn * count),
        lambda turn: tokens_a_second(theirs, groups, turn * count),
        turns=turns,
    )
    what = f"sampling, batch {rows}, up to {length} tokens, {ending}"
    if ending == "full length":
        what = f"sampling, batch {rows}, all {length} tokens"
    return Comparison(what, "generate", "tokens/s", ours, others, REACH[ending])
