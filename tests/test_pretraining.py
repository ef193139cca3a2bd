"""Pretraining: exact packing, a tiny model that learns, callbacks, seeds."""

from __future__ import annotations

import itertools
import math
import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import tiny_model, tiny_tokenizer

from rlhf_tutorial.batching import IGNORE
from rlhf_tutorial.pretraining import (
    PretrainingSettings,
    encode_documents,
    next_token_loss,
    pack,
    pretrain,
)
from rlhf_tutorial.tokenizer import encode_prompt, encode_texts

SETTINGS = PretrainingSettings(steps=40, batch=8, time=16, warmup_steps=5, probe_every=15)


def documents(count: int = 300, seed: int = 0) -> list[str]:
    """Sentences in which the first word decides the last."""
    rng = random.Random(seed)
    answers = {"cat": "yes", "dog": "no", "day": "hi"}
    return [f"the {word} is {answers[word]}" for word in rng.choices(list(answers), k=count)]


@given(st.lists(st.lists(st.integers(2, 50), max_size=9), max_size=40), st.integers(2, 12))
def test_pack_is_exact(token_lists, time):
    pieces = [
        tuple(tokens[start : start + time - 1])
        for tokens in token_lists
        for start in range(0, len(tokens), time - 1)
    ]
    if not pieces:
        with pytest.raises(ValueError, match="no documents to learn from"):
            pack(token_lists, time, 1)
        return
    inputs, targets = pack(token_lists, time, 1)
    assert inputs.shape == targets.shape == (len(inputs), time)
    found = []
    for row, wanted in zip(inputs.tolist(), targets.tolist(), strict=True):
        used = sum(token != IGNORE for token in wanted)
        assert row[0] == 1  # a row begins behind an end token
        assert wanted[used:] == [IGNORE] * (time - used)  # what is left over is no target
        assert row[1:used] == wanted[: used - 1]  # each target is the next input
        assert wanted[used - 1] == 1
        piece = []
        for token in wanted[:used]:
            if token == 1:
                found.append(tuple(piece))
                piece = []
            else:
                piece.append(token)
    assert sorted(found) == sorted(pieces)  # every document once, none cut that fits a row


def test_pack_by_hand():
    inputs, targets = pack([[5, 6], [7], [8, 9]], 5, 1)
    assert inputs.tolist() == [[1, 5, 6, 1, 7], [1, 8, 9, 1, 1]]
    assert targets.tolist() == [[5, 6, 1, 7, 1], [8, 9, 1, IGNORE, IGNORE]]


def test_little_of_the_rows_is_left_over():
    rng = random.Random(0)
    lengths = [rng.randint(10, 70) for _ in range(400)]
    _, targets = pack([[2] * length for length in lengths], 128, 1)
    assert (targets == IGNORE).float().mean() < 0.06


def test_parts_of_a_document_stand_behind_end_tokens():
    tokenizer = tiny_tokenizer()
    (tokens,) = encode_documents(tokenizer, [("the cat", "is yes")], enough=1)
    first, second = encode_texts(tokenizer, [" the cat", " is yes"])
    assert tokens == [*first, tokenizer.eos_token_id, *second]


def test_documents_are_encoded_after_a_space_and_no_more_than_needed():
    tokenizer = tiny_tokenizer()
    read = itertools.count()
    endless = (f"the cat {next(read)}" for _ in itertools.count())
    encoded = encode_documents(tokenizer, endless, enough=5_000)
    assert encoded[0] == encode_texts(tokenizer, [" the cat 0"])[0]
    assert 5_000 <= sum(len(tokens) + 1 for tokens in encoded) < 30_000
    assert next(read) == len(encoded)


def test_loss_is_the_mean_of_minus_log_probability():
    logits = torch.tensor([[[0.0, 0.0, 0.0, 0.0], [9.0, 0.0, 0.0, 0.0]]])
    expected = (math.log(4) + math.log(1 + 3 * math.exp(-9.0))) / 2
    assert next_token_loss(logits, torch.tensor([[2, 0]])).item() == pytest.approx(expected)


def test_tiny_model_learns_and_says_what_it_read():
    tokenizer = tiny_tokenizer()
    model = tiny_model(tokenizer, initializer_range=0.02)
    longer = PretrainingSettings(steps=150, batch=8, time=16, warmup_steps=5)
    history = pretrain(model, tokenizer, documents(3_000), longer, seed=0)
    assert history[0]["loss"] > 5 and history[-1]["loss"] < 0.5
    for word, answer in (("cat", "yes"), ("dog", "no")):
        ids = torch.tensor([encode_prompt(tokenizer, f"the {word} is", chat=False)])
        likeliest = model(ids).logits[0, -1].argmax().item()
        assert likeliest == encode_texts(tokenizer, [f" {answer}"])[0][0]


def test_same_seed_same_curve_other_seed_another():
    tokenizer = tiny_tokenizer()

    def curve(seed: int, shuffle: bool = True) -> list[float]:
        model = tiny_model(tokenizer, initializer_range=0.02)
        short = PretrainingSettings(steps=6, batch=4, time=16, shuffle=shuffle)
        return [row["loss"] for row in pretrain(model, tokenizer, documents(), short, seed=seed)]

    assert curve(1) == curve(1)
    assert curve(1) != curve(2)
    assert curve(1, shuffle=False) == curve(2, shuffle=False)  # the documents' own order


def test_callbacks_and_progress_are_called_and_join_the_history():
    tokenizer = tiny_tokenizer()
    model = tiny_model(tokenizer, initializer_range=0.02)
    seen, shown = [], []

    def probe(step, probed):
        assert probed is model and not model.training
        seen.append(step)
        return {"probe": step / 10}

    history = pretrain(
        model,
        tokenizer,
        documents(),
        SETTINGS,
        seed=0,
        callbacks=[probe],
        progress=lambda step, total: shown.append((step, total)),
    )
    assert seen == [15, 30, 40]
    assert [row["probe"] for row in history if "probe" in row] == [1.5, 3.0, 4.0]
    assert shown == [(step, 40) for step in range(1, 41)]
    assert [row["step"] for row in history] == list(range(1, 41))
    assert history[-1]["tokens"] == 40 * 8 * 16
    assert not model.training


def test_few_documents_are_gone_through_again():
    tokenizer = tiny_tokenizer()
    model = tiny_model(tokenizer, initializer_range=0.02)
    history = pretrain(model, tokenizer, documents(8), SETTINGS, seed=0)
    assert len(history) == SETTINGS.steps and history[-1]["loss"] < 1.2


def test_accelerator_can_be_handed_in():
    from accelerate import Accelerator

    tokenizer = tiny_tokenizer()
    short = PretrainingSettings(steps=3, batch=4, time=16)
    curves = []
    for accelerator in (None, Accelerator(cpu=True)):
        model = tiny_model(tokenizer, initializer_range=0.02)
        history = pretrain(model, tokenizer, documents(), short, seed=0, accelerator=accelerator)
        curves.append([row["loss"] for row in history])
    assert curves[0] == curves[1]


def test_bad_input_is_named():
    tokenizer = tiny_tokenizer()
    model = tiny_model(tokenizer)
    with pytest.raises(ValueError, match="no documents to learn from"):
        pretrain(model, tokenizer, [], SETTINGS, seed=0)
    with pytest.raises(ValueError, match="take at least 2"):
        pretrain(model, tokenizer, ["hi"], PretrainingSettings(time=1), seed=0)
    with pytest.raises(ValueError, match="context holds 96"):
        pretrain(model, tokenizer, documents(), PretrainingSettings(time=200), seed=0)
    with torch.no_grad():
        model.transformer.ln_f.bias.fill_(float("nan"))
    with pytest.raises(ValueError, match="not a number at step 1: lower the learning rates"):
        pretrain(model, tokenizer, documents(), SETTINGS, seed=0)
