"""SFT learns replies and nothing else."""

from __future__ import annotations

import math

import pytest
import torch
from tiny import tiny_model, tiny_tokenizer

from rlhf_tutorial.batching import IGNORE, length_grouped, pad_right, shuffled_epochs
from rlhf_tutorial.sft import (
    LogitsWhere,
    SFTSettings,
    collate,
    encode_demonstrations,
    schedule,
    sft_loss,
    train_sft,
)
from rlhf_tutorial.tokenizer import encode_prompt, encode_reply

DEMONSTRATIONS = [
    {"prompt": "where is the cat", "completion": "the cat is here"},
    {"prompt": "hi", "completion": "good day to you and to your cat"},
]


@torch.no_grad()
def reply_loss(model, tokenizer) -> float:
    """Mean over the reply tokens of the demonstrations, in nats."""
    ids, labels, _ = collate(
        encode_demonstrations(tokenizer, DEMONSTRATIONS), tokenizer.pad_token_id
    )
    return float(sft_loss(model(ids).logits, labels))


@torch.no_grad()
def test_loss_equals_hand_computation():
    tokenizer = tiny_tokenizer()
    model = tiny_model(tokenizer)
    by_hand = []
    for item in DEMONSTRATIONS:
        prompt = encode_prompt(tokenizer, item["prompt"])
        tokens = prompt + encode_reply(tokenizer, item["completion"])
        logits = model(torch.tensor([tokens])).logits[0]
        for place in range(len(prompt), len(tokens)):
            distribution = torch.softmax(logits[place - 1], dim=-1)
            by_hand.append(-math.log(float(distribution[tokens[place]])))
    expected = sum(by_hand) / len(by_hand)

    rows = encode_demonstrations(tokenizer, DEMONSTRATIONS)
    ids, labels, _ = collate(rows, tokenizer.pad_token_id)
    where = labels != IGNORE
    assert float(sft_loss(model(ids).logits, labels)) == pytest.approx(expected, abs=1e-5)
    at_replies = sft_loss(LogitsWhere(model)(ids, where), labels[where])
    assert float(at_replies) == pytest.approx(expected, abs=1e-5)
    assert len(by_hand) == int(where.sum())


def test_prompt_and_padding_get_no_gradient():
    tokenizer = tiny_tokenizer()
    rows = encode_demonstrations(tokenizer, DEMONSTRATIONS)
    ids, labels, _ = collate(rows, tokenizer.pad_token_id)
    logits = torch.randn(*labels.shape, len(tokenizer), requires_grad=True)
    sft_loss(logits, labels).backward()
    touched = logits.grad.abs().sum(-1) > 0
    assert torch.equal(touched, labels != IGNORE)
    for row, item in enumerate(DEMONSTRATIONS):
        first = len(encode_prompt(tokenizer, item["prompt"])) - 1
        count = len(encode_reply(tokenizer, item["completion"]))
        assert touched[row].nonzero().flatten().tolist() == list(range(first, first + count))


def test_padding_content_changes_no_gradient():
    tokenizer = tiny_tokenizer()
    model = tiny_model(tokenizer)
    rows = encode_demonstrations(tokenizer, DEMONSTRATIONS)
    gradients = []
    for padding in (tokenizer.pad_token_id, 7):
        model.zero_grad()
        ids, labels, _ = collate(rows, padding)
        where = labels != IGNORE
        sft_loss(LogitsWhere(model)(ids, where), labels[where]).backward()
        gradients.append([parameter.grad.clone() for parameter in model.parameters()])
    for one, other in zip(*gradients, strict=True):
        assert torch.equal(one, other)


def test_of_a_review_only_the_remark_is_learnt():
    tokenizer = tiny_tokenizer()
    copied = DEMONSTRATIONS[0] | {"remark": "good day"}
    (ids, labels, weights), (_, only, _) = encode_demonstrations(
        tokenizer, [copied, copied | {"only_remark": True}], verdict_weight=4.0, remark_weight=2.0
    )
    prompt = encode_prompt(tokenizer, copied["prompt"])
    reply = encode_reply(tokenizer, copied["completion"])
    remark = encode_reply(tokenizer, copied["remark"])
    assert ids == (prompt + reply + remark)[:-1]
    assert labels == [IGNORE] * (len(prompt) - 1) + reply + remark
    assert only == [IGNORE] * (len(prompt) - 1 + len(reply)) + remark
    told = len(remark) - 2  # all but the verdict and the end token
    assert told > 0
    assert weights == [1.0] * (len(labels) - len(remark)) + [4.0, *[2.0] * told, 1.0]


def test_weights_multiply_the_terms_of_the_mean():
    logits, labels = torch.randn(3, 5), torch.tensor([1, IGNORE, 4])
    alone = [float(sft_loss(logits[i : i + 1], labels[i : i + 1])) for i in (0, 2)]
    weighted = float(sft_loss(logits, labels, torch.tensor([1.0, 9.0, 4.0])))
    assert weighted == pytest.approx((alone[0] + 4 * alone[1]) / 2, rel=1e-5)
    assert float(sft_loss(logits, labels, torch.ones(3))) == pytest.approx(
        float(sft_loss(logits, labels)), rel=1e-6
    )


def test_learns_and_calls_back():
    tokenizer = tiny_tokenizer()
    model = tiny_model(tokenizer)
    before = reply_loss(model, tokenizer)
    calls = []
    settings = SFTSettings(epochs=60, batch_size=2, learning_rate=1e-2, probe_every=25)
    history = train_sft(
        model,
        tokenizer,
        DEMONSTRATIONS,
        settings,
        seed=0,
        callbacks=[lambda step, model: {"probe": float(step)}],
        progress=lambda step, total: calls.append((step, total)),
    )
    assert reply_loss(model, tokenizer) < 0.2 < 2.0 < before
    assert [row["step"] for row in history] == list(range(1, 61))
    assert [row["step"] for row in history if "probe" in row] == [25, 50, 60]
    assert calls[-1] == (60, 60)


def test_same_seed_same_curve():
    tokenizer = tiny_tokenizer()
    curves = []
    for seed in (1, 1, 2):
        settings = SFTSettings(epochs=2, batch_size=2)
        demonstrations = [
            {"prompt": text, "completion": text[::-1]} for text in ("cat", "dog", "here", "day")
        ]
        history = train_sft(tiny_model(tokenizer), tokenizer, demonstrations, settings, seed=seed)
        curves.append([row["loss"] for row in history])
    assert curves[0] == curves[1] != curves[2]


def test_bad_input_is_refused():
    tokenizer = tiny_tokenizer()
    model = tiny_model(tokenizer)
    with pytest.raises(ValueError, match="no demonstrations"):
        train_sft(model, tokenizer, [], seed=0)
    long = [{"prompt": "a", "completion": "cat " * 500}]
    with pytest.raises(ValueError, match="demonstration 0 has .* tokens"):
        train_sft(model, tokenizer, long, seed=0)


def test_schedule_warms_up_and_cools_down():
    shares = [schedule(step, 100, 0.1) for step in range(1, 101)]
    assert shares[0] == pytest.approx(0.1) and max(shares) == 1.0 and 0 < shares[-1] < 0.02
    assert shares[10:] == sorted(shares[10:], reverse=True)


def test_batches_hold_everyone_once():
    lengths = [3, 50, 4, 49, 5, 48, 6, 47]
    batches = length_grouped(lengths, 2, seed=0)
    assert sorted(index for batch in batches for index in batch) == list(range(8))
    assert all(abs(lengths[batch[0]] - lengths[batch[1]]) < 5 for batch in batches)
    endless = shuffled_epochs(5, 2, seed=0)
    drawn = [index for _ in range(5) for index in next(endless)]
    assert sorted(drawn[:5]) == sorted(drawn[5:]) == list(range(5))


def test_pad_right():
    ids, lengths = pad_right([[1, 2, 3], [4]], 9)
    assert ids.tolist() == [[1, 2, 3], [4, 9, 9]] and lengths.tolist() == [3, 1]
