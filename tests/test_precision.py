"""Mixed precision: products in bfloat16, everything that is kept in float32."""

from __future__ import annotations

import pytest
import torch

from rlhf_tutorial import precision
from rlhf_tutorial.pretraining import next_token_loss
from tests.tiny import tiny_model, tiny_tokenizer


@pytest.fixture
def batch():
    model = tiny_model(tiny_tokenizer())
    ids = torch.randint(5, model.config.vocab_size, (3, 12), generator=torch.manual_seed(0))
    return model, ids


def loss_of(model, ids):
    with precision.mixed_precision(model):
        output = model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False)
    return output.logits, next_token_loss(output.logits[:, :-1], ids[:, 1:])


def has(monkeypatch, **capabilities):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)


def test_only_a_processor_with_the_instructions_multiplies_bfloat16(monkeypatch):
    has(monkeypatch, avx2=True, avx512_bf16=False)
    assert not precision.multiplies_bfloat16(torch.device("cpu"))
    for name in precision.INSTRUCTIONS:
        has(monkeypatch, **{name: True})
        assert precision.multiplies_bfloat16(torch.device("cpu"))
        assert not precision.multiplies_bfloat16(torch.device("meta"))


def test_without_the_instructions_nothing_changes(batch, monkeypatch):
    model, ids = batch
    plain = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    has(monkeypatch)
    logits, _ = loss_of(model, ids)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, plain, rtol=0, atol=0)


def test_products_are_in_bfloat16_and_weights_and_gradients_are_not(batch, monkeypatch):
    model, ids = batch
    has(monkeypatch)
    _, exact = loss_of(model, ids)
    has(monkeypatch, avx512_bf16=True)
    logits, loss = loss_of(model, ids)
    assert logits.dtype == torch.bfloat16 and loss.dtype == torch.float32
    torch.testing.assert_close(loss, exact, rtol=0.01, atol=0)
    loss.backward()
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert {p.grad.dtype for p in model.parameters() if p.grad is not None} == {torch.float32}


def test_the_gradient_points_where_the_exact_one_points(batch, monkeypatch):
    model, ids = batch
    gradients = []
    for capabilities in ({}, {"avx512_bf16": True}):
        has(monkeypatch, **capabilities)
        model.zero_grad()
        loss_of(model, ids)[1].backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    assert torch.cosine_similarity(*gradients, dim=0) > 0.999


def test_attention_is_put_back_even_after_an_error(batch, monkeypatch):
    model, _ = batch
    has(monkeypatch, avx512_bf16=True)
    before = model.config._attn_implementation
    with pytest.raises(RuntimeError, match="amid"), precision.mixed_precision(model):
        assert model.config._attn_implementation == "eager" != before
        raise RuntimeError("amid")
    assert model.config._attn_implementation == before
