"""Mixed precision: matrix products in bfloat16 where the processor has instructions for them.

A bfloat16 has the range of a float32 and 8 bits of its 24, which is enough for products, whose
errors average out, and too little for weights, to which small updates are added. So weights,
updates, norms and losses stay in float32. On two cores of a processor with AVX512-BF16 a step of
pretraining takes about three quarters of the time; on processors without it nothing is changed,
as they would have to imitate it. Only pretraining does so: its batches have one shape. For batches
of many lengths the processor's library keeps a plan for each, which takes memory and time.

Attention is written out meanwhile: torch's fused kernel for processors learns slower in bfloat16
than the plain products do.

Source: Micikevicius et al. 2017, arXiv 1710.03740; bfloat16: Kalamkar et al. 2019, arXiv
1905.12322. No scaling of the loss: bfloat16 does not underflow where float16 does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

INSTRUCTIONS = ("avx512_bf16", "amx_bf16")  # of processors that multiply bfloat16 themselves


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether the device is a processor with instructions for products of bfloat16."""
    found = torch.cpu.get_capabilities()
    return device.type == "cpu" and any(found.get(name, False) for name in INSTRUCTIONS)


@contextmanager
def mixed_precision(model) -> Iterator[None]:
    """Within, forward passes of `model` multiply in bfloat16, if its processor does so fast."""
    if not multiplies_bfloat16(model.device):
        yield
        return
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        with torch.autocast("cpu", torch.bfloat16):
            yield
    finally:
        model.set_attn_implementation(before)
