"""Pretraining against the processor: model FLOP/s over those of a bare matrix product.

A multiply and an add are two operations (FLOP). Reading a token forwards takes two for each weight
that is multiplied, and its attention 2·2·d for each token that it sees, in each layer; half of the
row on average, since what is masked does not count. Backwards is twice that. So a token takes

    6·N + 6·L·T·d,     N = 12·L·d² + V·d

with L layers of width d, rows of T tokens and V words. N is the matrices of the blocks and the
head. Not counted: looking up embeddings, biases, norms, activations, the loss, and the optimizer
with all the matrix products of Muon. They take time and so lower the share.

Source: the count of Chowdhery et al. 2022, arXiv 2204.02311, appendix B, there without the half.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch

from rlhf_tutorial import models
from rlhf_tutorial.bench_timing import Comparison, StepClock, in_turns
from rlhf_tutorial.precision import multiplies_bfloat16
from rlhf_tutorial.pretraining import PretrainingSettings, pretrain

STEPS = 22  # of which 20 are timed
REACH = 0.6
PEAK_SIZES = (512, 1024, 2048)  # rows of square matrices; the fastest of them counts
PEAK_SECONDS = 0.5  # of matrix products a turn, for each size


def flop_per_token(config, time: int) -> int:
    """Operations to learn from one token in rows of `time`, forwards and backwards; see above."""
    layers, width = config.n_layer, config.n_embd
    inner = config.n_inner or 4 * width
    weights = layers * (4 * width * width + 2 * width * inner) + config.vocab_size * width
    return 6 * weights + 6 * layers * time * width


def matmul_flops(
    dtype: torch.dtype, sizes: Sequence[int] = PEAK_SIZES, seconds: float = PEAK_SECONDS
) -> float:
    """FLOP/s of matrix products at torch's threads: the fastest size, mean over a while."""
    best = 0.0
    for size in sizes:
        left, right = torch.rand(size, size).to(dtype), torch.rand(size, size).to(dtype)
        product = torch.mm(left, right)  # the first one is slower
        count, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds:
            torch.mm(left, right, out=product)
            count += 1
        best = max(best, 2 * size**3 * count / (time.perf_counter() - start))
    return best


def pretraining_flops(
    size: str, tokenizer, documents, settings, seed: int, clock: StepClock | None = None
) -> float:
    """Model FLOP/s of `pretrain` on a new model, over all steps but the first and the last."""
    model = models.build_language_model(size, tokenizer, seed=seed)
    clock = clock or StepClock()
    pretrain(model, tokenizer, documents, settings, seed=seed, progress=clock)
    tokens = clock.steps * settings.batch * settings.time
    return tokens * flop_per_token(model.config, settings.time) / clock.seconds


def measure(
    tokenizer,
    documents: Sequence,
    *,
    turns: int,
    size: str = "1m",
    settings: PretrainingSettings | None = None,
    peak_seconds: float = PEAK_SECONDS,
) -> list[Comparison]:
    """Pretraining of a model of `models.SIZES` against the peak of each kind of number it uses.

    That is float32 and, where the processor multiplies them itself, bfloat16 (`precision.py`).

    Raises:
        ValueError: fewer than three steps, no documents, or no turn.
    """
    settings = settings or PretrainingSettings(steps=STEPS)
    what = f"pretraining, {settings.batch} rows of {settings.time} tokens"

    def peak_of(dtype: torch.dtype) -> Callable[[int], float]:
        return lambda turn: matmul_flops(dtype, seconds=peak_seconds) / 1e9

    half = {"bfloat16": torch.bfloat16} if multiplies_bfloat16(torch.device("cpu")) else {}
    dtypes = {"float32": torch.float32, **half}
    ours, *peaks = in_turns(
        lambda turn: pretraining_flops(size, tokenizer, documents, settings, turn) / 1e9,
        *map(peak_of, dtypes.values()),
        turns=turns,
        warm_ups=0,  # the first step and the first product are not timed
    )
    return [
        Comparison(what, f"bare product in {name}", "GFLOP/s", ours, peak, REACH)
        for name, peak in zip(dtypes, peaks, strict=True)
    ]
