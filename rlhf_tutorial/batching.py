"""Puts token lists of unequal length into rectangles, wasting little padding.

Training pads on the right: causal attention never looks to the right, so no token that counts
can see the padding, no attention mask is needed, and torch takes its fast causal path. (Sampling
pads on the left, because there every row must grow at the same end.)

Simplified: no packing of several texts into one row. It would save a little more, but then each
row needs a block-diagonal mask, which costs more than it saves at these lengths.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

IGNORE = -100  # the label that torch's cross-entropy leaves out


def pad_right(
    rows: Sequence[Sequence[float]], pad: float, dtype: torch.dtype = torch.long
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return values, token ids mostly, `(batch, time)` padded on the right; lengths `(batch,)`."""
    lengths = torch.tensor([len(row) for row in rows])
    padded = torch.full((len(rows), int(lengths.max())), pad, dtype=dtype)
    for index, row in enumerate(rows):
        padded[index, : len(row)] = torch.tensor(row, dtype=dtype)
    return padded, lengths


def check_length(length: int, context: int, what: str) -> None:
    """Raise ValueError when `length` tokens do not fit into a model's `context`."""
    if length > context:
        raise ValueError(
            f"{what} has {length} tokens, but the model's context holds {context}: "
            "shorten it or take a model with a longer context"
        )


def by_length(lengths: Sequence[int], batch_size: int) -> list[list[int]]:
    """Batches of indexes, shortest first: for scoring, where order does not matter."""
    order = sorted(range(len(lengths)), key=lambda index: lengths[index])
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def length_grouped(
    lengths: Sequence[int], batch_size: int, *, seed: int, pool: int = 16
) -> list[list[int]]:
    """One shuffled epoch of batches whose members have similar lengths.

    Sorts within pools of `pool` batches only, so that the batches of two epochs differ.
    """
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(lengths), generator=generator).tolist()
    batches = []
    for start in range(0, len(order), pool * batch_size):
        members = order[start : start + pool * batch_size]
        groups = by_length([lengths[index] for index in members], batch_size)
        batches += [[members[position] for position in group] for group in groups]
    return [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]


def shuffled_epochs(count: int, batch_size: int, *, seed: int) -> Iterator[list[int]]:
    """Endless batches of indexes: each index once an epoch, epochs in fresh orders.

    A batch may span the end of one epoch and the start of the next, so all are full.
    """
    generator = torch.Generator().manual_seed(seed)
    waiting: list[int] = []
    while True:
        while len(waiting) < batch_size:
            waiting += torch.randperm(count, generator=generator).tolist()
        yield waiting[:batch_size]
        waiting = waiting[batch_size:]


def in_order(count: int, batch_size: int) -> Iterator[list[int]]:
    """Endless batches of indexes in the order given, over and over.

    For pretraining, where the author of the documents decides what comes first.
    """
    place = 0
    while True:
        yield [(place + offset) % count for offset in range(batch_size)]
        place += batch_size
