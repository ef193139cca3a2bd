"""Muon against torch's own, the split of the weights, and the schedule."""

from __future__ import annotations

import copy

import pytest
import torch
from tiny import tiny_model, tiny_tokenizer

from rlhf_tutorial.optimizers import (
    Muon,
    muon_and_adamw,
    orthogonalise,
    set_rates,
    warmup_cooldown,
)

SHAPES = [(16, 48), (16, 48), (64, 16), (16, 16), (16, 24), (64, 16)]


def run(optimizer_class, steps: int = 6, **options) -> list[list[torch.Tensor]]:
    """Weights after each step, from fixed weights and gradients."""
    generator = torch.Generator().manual_seed(0)
    parameters = [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]
    optimizer = optimizer_class(parameters, lr=0.05, weight_decay=0.1, **options)
    trace = []
    for _ in range(steps):
        for parameter in parameters:
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        optimizer.step()
        trace.append([parameter.detach().clone() for parameter in parameters])
    return trace


def largest_difference(first, second) -> float:
    return max(
        (a - b).abs().max().item()
        for one, other in zip(first, second, strict=True)
        for a, b in zip(one, other, strict=True)
    )


def test_muon_equals_torchs_step_for_step(monkeypatch):
    # torch's iterates in bfloat16; in float32 nothing but rounding may differ.
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.float)
    assert largest_difference(run(Muon), run(torch.optim.Muon)) < 1e-5


def test_muon_stays_near_torchs_bfloat16():
    ours, torchs = run(Muon), run(torch.optim.Muon)
    assert 0 < largest_difference(ours, torchs) < 0.05
    assert largest_difference(ours[:1], [ours[-1]]) > 0.15  # it does move


@pytest.mark.parametrize("shape", [(3, 16, 64), (3, 64, 16), (3, 16, 16), (2, 16, 20)])
def test_orthogonalise_keeps_directions_and_levels_singular_values(shape):
    generator = torch.Generator().manual_seed(1)
    matrices = torch.randn(shape, generator=generator)
    result = orthogonalise(matrices)
    assert result.shape == matrices.shape
    u, s, v = torch.linalg.svd(matrices, full_matrices=False)
    inside = u.mT @ result @ v.mT  # diagonal when the singular vectors are kept
    values = inside.diagonal(dim1=-2, dim2=-1)
    assert torch.allclose(inside, torch.diag_embed(values), atol=1e-4)
    large = s > 0.05 * s.flatten(1).norm(dim=1, keepdim=True)
    assert values[large].min() > 0.6 and values.max() < 1.3
    # Matrices in a batch do not see each other, nor does the scale matter.
    assert torch.allclose(orthogonalise(1e3 * matrices[1:2]), result[1:2], atol=1e-4)


def test_orthogonalise_survives_low_rank_and_zero():
    generator = torch.Generator().manual_seed(2)
    thin = torch.randn(2, 32, 3, generator=generator) @ torch.randn(2, 3, 96, generator=generator)
    result = orthogonalise(thin)
    assert torch.linalg.matrix_norm(result, ord=2).max() < 1.3
    assert torch.equal(orthogonalise(torch.zeros(1, 8, 24)), torch.zeros(1, 8, 24))


def test_muon_takes_matrices_only():
    with pytest.raises(ValueError, match="give that one to AdamW"):
        Muon([torch.nn.Parameter(torch.zeros(3))])


def test_every_weight_has_one_optimizer_and_the_right_one():
    model = tiny_model(tiny_tokenizer())
    muon, adamw = muon_and_adamw(model)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    by_muon = {names[id(p)] for group in muon.param_groups for p in group["params"]}
    by_adamw = {names[id(p)] for group in adamw.param_groups for p in group["params"]}
    assert by_muon | by_adamw == set(names.values()) and not by_muon & by_adamw
    assert by_muon == {
        f"transformer.h.{layer}.{part}.weight"
        for layer in range(2)
        for part in ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
    }


def test_state_can_be_saved_and_loaded():
    model = tiny_model(tiny_tokenizer())
    twin = copy.deepcopy(model)
    (first, _), (second, _) = muon_and_adamw(model), muon_and_adamw(twin)

    def step(optimizer, net, seed):
        generator = torch.Generator().manual_seed(seed)
        for parameter in net.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        optimizer.step()

    step(first, model, 0)
    step(second, twin, 0)
    fresh, _ = muon_and_adamw(twin)
    fresh.load_state_dict(second.state_dict())
    step(first, model, 1)
    step(fresh, twin, 1)
    pairs = zip(model.parameters(), twin.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_schedule_rises_stays_and_falls():
    shares = [warmup_cooldown(step, 100, 10, 0.3) for step in range(1, 101)]
    assert shares[0] == 0.1 and shares[9] == 1.0
    assert all(share == 1.0 for share in shares[9:71])
    assert shares[-1] == pytest.approx(1 / 30)
    falling = shares[71:]
    assert all(later < earlier for earlier, later in zip(falling, falling[1:], strict=False))
    # A run shorter than its warm-up still has rates within (0, 1].
    assert all(0 < warmup_cooldown(step, 3, 30, 0.3) <= 1 for step in (1, 2, 3))


def test_set_rates_scales_each_peak():
    optimizers = muon_and_adamw(tiny_model(tiny_tokenizer()), muon_lr=0.02, adamw_lr=0.004)
    for _ in range(2):  # of the peak, not of the rate before
        set_rates(optimizers, 0.5)
    assert [o.param_groups[0]["lr"] for o in optimizers] == [0.01, 0.002]
