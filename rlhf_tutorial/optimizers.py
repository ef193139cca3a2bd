"""Optimizers for pretraining: Muon for the hidden matrices, AdamW for everything else.

Muon replaces the momentum of a weight matrix by the nearest orthogonal matrix, so that all its
directions are learnt at one pace. Trained with AdamW alone the village model is fluent early but
copies words out of the prompt badly; with Muon it copies after the same time.

Why not `torch.optim.Muon`: it orthogonalises one matrix after the other, in bfloat16, and took a
third of a training step on two cores. Here matrices of equal shape go through the iteration
together, in float32, which most processors multiply faster, and the iteration runs on their small
Gram matrices: a quarter of the time. The update is the same; a test compares the two step by step.

Simplified: no distributed sharding (every process does the same update), no sparse gradients.

Source: Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024; Liu et
al., "Muon is Scalable for LLM Training", 2025, arXiv 2502.16982; AdamW: Loshchilov and Hutter
2017, arXiv 1711.05101.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import nn

# Quintic that pushes every singular value of a matrix towards 1 (Jordan et al. 2024). Its slope at
# 0 is as large as possible, so small ones grow fast; they end between about 0.7 and 1.2.
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


def orthogonalise(matrices: torch.Tensor, steps: int = 5) -> torch.Tensor:
    """Nearly orthogonal matrices with the singular vectors of `matrices` `(count, rows, columns)`.

    X <- p(A) X with A = X X^T and p(A) = a + b A + c A^2, `steps` times, from X of Frobenius
    norm 1. All p(A) commute, so for wide matrices only A, which is small, is iterated
    (A <- p(A) A p(A)) and the product of the p(A) is applied to X once: half the work. It needs
    float32: in bfloat16 A loses the small singular values.
    """
    a, b, c = NEWTON_SCHULZ
    x = matrices.float()
    tall = x.size(-2) > x.size(-1)
    if tall:
        x = x.mT  # the shorter side gives the smaller A
    x = x / x.flatten(1).norm(dim=1).clamp(min=1e-7)[:, None, None]
    wide = x.size(-1) >= 2 * x.size(-2)
    gram = x @ x.mT
    product = None
    for step in range(steps):
        polynomial = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        polynomial.diagonal(dim1=-2, dim2=-1).add_(a)
        if wide:
            product = polynomial if product is None else polynomial @ product
        else:
            x = polynomial @ x
        if step + 1 < steps:
            gram = polynomial @ gram @ polynomial if wide else x @ x.mT
    if wide:
        x = product @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised, with decoupled weight decay, for matrices only.

    Args:
        parameters: matrices `(rows, columns)`.
        lr: learning rate; an update has singular values near `lr * sqrt(max(1, rows / columns))`.
        weight_decay: share `lr * weight_decay` of each weight that a step takes away.
        momentum: share of the old momentum that a step keeps, Nesterov's way.

    Raises:
        ValueError: a parameter is not a matrix.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float = 0.02,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
    ):
        defaults = {"lr": lr, "weight_decay": weight_decay, "momentum": momentum}
        super().__init__(parameters, defaults)
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.ndim != 2:
                    raise ValueError(
                        f"Muon updates matrices, not a parameter of shape {tuple(parameter.shape)}:"
                        " give that one to AdamW"
                    )

    @torch.no_grad()
    def step(self, closure=None):
        """Update all parameters that have a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            alike: dict[tuple, list[nn.Parameter]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    key = (parameter.shape, parameter.device, parameter.dtype)
                    alike.setdefault(key, []).append(parameter)
            for parameters in alike.values():
                self._step_alike(parameters, group)
        return loss

    def _step_alike(self, parameters: list[nn.Parameter], group: dict) -> None:
        """Update parameters of one shape together."""
        for parameter in parameters:
            if "momentum_buffer" not in self.state[parameter]:
                self.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        momentum = group["momentum"]
        buffers = [self.state[parameter]["momentum_buffer"] for parameter in parameters]
        gradients = [parameter.grad for parameter in parameters]
        torch._foreach_lerp_(buffers, gradients, 1 - momentum)
        looked_ahead = torch._foreach_lerp(gradients, buffers, momentum)  # Nesterov
        updates = orthogonalise(torch.stack(looked_ahead))

        rows, columns = parameters[0].shape
        rate = group["lr"] * math.sqrt(max(1, rows / columns))
        torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
        updates = list(updates.to(parameters[0].dtype).unbind())
        torch._foreach_add_(parameters, updates, alpha=-rate)


def muon_and_adamw(
    model: nn.Module,
    muon_lr: float = 0.02,
    adamw_lr: float = 6e-3,
    muon_weight_decay: float = 0.1,
    adamw_weight_decay: float = 0.0,
    betas: tuple[float, float] = (0.9, 0.95),
) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the blocks, fused AdamW for embeddings, norms and biases.

    Embeddings are looked up a row at a time and not multiplied, so orthogonality means nothing
    there (Jordan et al. 2024). Step both, and call `set_rates` before each step.
    """
    blocks = {id(p) for p in model.base_model.h.parameters()}
    matrices = [p for p in model.parameters() if id(p) in blocks and p.ndim == 2]
    others = [p for p in model.parameters() if id(p) not in blocks or p.ndim != 2]
    optimizers = [
        Muon(matrices, lr=muon_lr, weight_decay=muon_weight_decay),
        torch.optim.AdamW(
            others, lr=adamw_lr, betas=betas, weight_decay=adamw_weight_decay, fused=True
        ),
    ]
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak_lr"] = group["lr"]
    return optimizers


def warmup_cooldown(step: int, steps: int, warmup: int, cooldown_share: float) -> float:
    """Share of the peak learning rate at `step` (from 1): up, level, and down to almost 0.

    Linear warm-up over the first `warmup` steps, linear cool-down over the last
    `cooldown_share` of all steps (Haegele et al. 2024, arXiv 2405.18392).
    """
    cooldown = max(1, round(cooldown_share * steps))
    rising = step / max(1, warmup)
    falling = (steps - step + 1) / cooldown
    return min(1.0, rising, falling)


def set_rates(optimizers: Sequence[torch.optim.Optimizer], share: float) -> None:
    """Set every learning rate to `share` of its peak."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["peak_lr"] * share
