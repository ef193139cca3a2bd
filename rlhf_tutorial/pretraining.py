"""Pretraining: teaches a fresh GPT-2 the language of its documents, token by token.

The loss is the mean of -log p(next token) over rows cut from one long stream of documents. Each
document stands between end tokens, and after a space, so that its first word is the same token
as in running text.

Simplified: a token may look back into the documents before its own in the row. That costs a
small model little and needs no mask. No
gradient accumulation.

What made it fast (two cores): Muon's matrices iterated together, GPT-2's activation as one fused
kernel, torch's own cross-entropy rather than the model's (which copies the logits to shift
them), and products in bfloat16 where the processor has them (`precision.py`). Compiling gains
little beyond that.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from rlhf_tutorial.batching import IGNORE, check_length, in_order, shuffled_epochs
from rlhf_tutorial.optimizers import muon_and_adamw, set_rates, warmup_cooldown
from rlhf_tutorial.precision import mixed_precision
from rlhf_tutorial.tokenizer import encode_texts

OPEN_ROWS = 16  # rows that wait for a document that still fits; more leave less unused


@dataclass(frozen=True)
class PretrainingSettings:
    """Hyper-parameters of pretraining."""

    steps: int = 600  # updates; from about 500 on a 2 M model, from 900 on one of 1 M knows facts
    batch: int = 16  # rows a step, over all processes
    time: int = 128  # tokens a row: about three whole documents
    muon_lr: float = 0.05  # of the hidden matrices; 0.02 needs half as many steps again to copy
    adamw_lr: float = (
        1.2e-2  # of embeddings, norms and biases; high, as rows of them are rarely met
    )
    muon_weight_decay: float = 0.1  # keeps the matrices small enough for the rate to matter
    warmup_steps: int = 30  # updates; momentum and second moments are poor at first
    cooldown_share: float = 0.7  # of all steps; facts are learnt while the rate falls
    max_gradient_norm: float = 1.0  # of the weights under AdamW and Muon together
    shuffle: bool = False  # rows in the order of the documents: easy ones may stand first
    probe_every: int = 50  # updates between two calls of the callbacks


def pack(
    token_lists: Iterable[Sequence[int]], time: int, end_id: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Lay whole documents into rows; return inputs and targets, both `(rows, time)`.

    A row is an end token and then documents, each followed by an end token. A document goes into
    the first of a few open rows that has room, so that it is never cut (a word can be copied only
    from what is in the same row) and little is left over. What is left over has the target IGNORE.
    A document longer than a row is cut into pieces. Rows come in about the order of documents.

    Raises:
        ValueError: there is no token at all, or a row holds fewer than two.
    """
    if time < 2:
        raise ValueError(f"a row of {time} tokens holds no document: take at least 2")
    done: list[list[int]] = []
    opened: list[list[int]] = []
    for tokens in token_lists:
        for start in range(0, len(tokens), time - 1):
            piece = [*tokens[start : start + time - 1], end_id]
            row = next((row for row in opened if len(row) + len(piece) <= time + 1), None)
            if row is None:
                if len(opened) == OPEN_ROWS:
                    done.append(opened.pop(0))
                row = [end_id]
                opened.append(row)
            row.extend(piece)
    rows = done + opened
    if not rows:
        raise ValueError("no documents to learn from: give at least one that is not empty")
    inputs = torch.full((len(rows), time), end_id)
    targets = torch.full((len(rows), time), IGNORE)
    for number, row in enumerate(rows):
        inputs[number, : len(row) - 1] = torch.tensor(row[:-1])
        targets[number, : len(row) - 1] = torch.tensor(row[1:])
    return inputs, targets


def next_token_loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Mean -log p(target), in nats a token; `(batch, time, vocabulary)` and `(batch, time)`."""
    return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), ignore_index=IGNORE)


def encode_documents(
    tokenizer, documents: Iterable[str | Sequence[str]], enough: int
) -> list[list[int]]:
    """Ids of `" " + document`, for as many documents as give `enough` tokens.

    The parts of a document that is a sequence are separated by the end token.
    """
    token_lists: list[list[int]] = []
    count = 0
    for chunk in _chunks(documents, 2_000):
        parts = [[document] if isinstance(document, str) else document for document in chunk]
        encoded = iter(encode_texts(tokenizer, [" " + text for group in parts for text in group]))
        for group in parts:
            tokens = next(encoded)
            for _ in group[1:]:
                tokens = [*tokens, tokenizer.eos_token_id, *next(encoded)]
            token_lists.append(tokens)
            count += len(tokens) + 1
        if count >= enough:
            break
    return token_lists


def pretrain(
    model,
    tokenizer,
    documents: Iterable[str | Sequence[str]],
    settings: PretrainingSettings | None = None,
    *,
    seed: int,
    callbacks: Sequence[Callable] = (),
    accelerator=None,
    progress: Callable | None = None,
) -> list[dict]:
    """Train `model` in place on `documents`; return the history.

    Only as many documents are read as the steps need, in the order given unless
    `settings.shuffle`; fewer are gone through again. A row of the history holds step, loss (nats
    a token), lr (Muon's), tokens (seen so far)
    and seconds (since the start, callbacks left out); every `probe_every` steps and at the end
    also what the callbacks `(step, model) -> dict` return. `progress(step, total)` is called
    after each step.

    Raises:
        ValueError: no documents, a row longer than the model's context, or a loss that is not a
            number.
    """
    from accelerate import Accelerator

    settings = settings or PretrainingSettings()
    accelerator = accelerator or Accelerator()
    check_length(settings.time, model.config.n_positions, "a row of pretraining")
    needed = settings.steps * settings.batch * settings.time + 1
    token_lists = encode_documents(tokenizer, documents, needed)
    rows, row_targets = pack(token_lists, settings.time, tokenizer.eos_token_id)

    order = shuffled_epochs(len(rows), settings.batch, seed=seed)
    batches = order if settings.shuffle else in_order(len(rows), settings.batch)
    peers = accelerator.num_processes
    if settings.batch % peers:
        raise ValueError(f"a batch of {settings.batch} rows does not divide by {peers} processes")
    optimizers = muon_and_adamw(
        model, settings.muon_lr, settings.adamw_lr, settings.muon_weight_decay
    )
    net, *optimizers = accelerator.prepare(model, *optimizers)
    net.train()
    history: list[dict] = []
    seconds = 0.0
    for step in range(1, settings.steps + 1):
        started = time.perf_counter()
        share = warmup_cooldown(
            step, settings.steps, settings.warmup_steps, settings.cooldown_share
        )
        set_rates(optimizers, share)
        mine = next(batches)[accelerator.process_index :: peers]
        inputs = rows[mine].to(accelerator.device)
        targets = row_targets[mine].to(accelerator.device)
        everywhere = torch.ones_like(inputs)  # no padding; without a mask the model would warn
        with mixed_precision(model):
            output = net(input_ids=inputs, attention_mask=everywhere, use_cache=False)
        loss = next_token_loss(output.logits, targets)
        if not torch.isfinite(loss):
            raise ValueError(
                f"pretraining loss is not a number at step {step}: lower the learning rates"
            )
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(net.parameters(), settings.max_gradient_norm)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        seconds += time.perf_counter() - started

        row = {
            "step": step,
            "loss": loss.item(),
            "lr": settings.muon_lr * share,
            "tokens": step * settings.batch * settings.time,
            "seconds": seconds,
        }
        if step % settings.probe_every == 0 or step == settings.steps:
            net.eval()
            for callback in callbacks:
                row.update(callback(step, model))
            net.train()
        history.append(row)
        if progress:
            progress(step, settings.steps)
    net.eval()
    return history


def _chunks(items: Iterable[str], size: int) -> Iterator[list[str]]:
    chunk: list[str] = []
    for item in items:
        chunk.append(item)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
