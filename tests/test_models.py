"""Models: sizes, seeds, checkpoints and what goes wrong with them."""

from __future__ import annotations

import json

import pytest
import torch
from tiny import tiny_model, tiny_tokenizer

from rlhf_tutorial.models import (
    ACTIVATION,
    SIZES,
    CheckpointError,
    build_language_model,
    build_reward_model,
    count_weights,
    load_language_model,
    load_reward_model,
    look_for_the_same_word,
)
from rlhf_tutorial.tokenizer import load_tokenizer, train_tokenizer

IDS = torch.tensor([[2, 70, 80, 3, 90, 1], [2, 71, 3, 91, 92, 1]])


def same_weights(first, second) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_sizes_are_what_their_names_say():
    tokenizer = tiny_tokenizer()
    missing = 1536 - len(tokenizer)  # the names count a vocabulary of 1,536
    for name, low, high in (("1m", 0.9e6, 1.1e6), ("2m", 1.9e6, 2.2e6), ("10m", 10e6, 12e6)):
        model = build_language_model(name, tokenizer, seed=0)
        assert low <= count_weights(model) + missing * SIZES[name]["n_embd"] <= high
        assert model.lm_head.weight is model.transformer.wte.weight
        assert model.config._attn_implementation == "sdpa"
        assert not model.training


def test_seed_decides_the_weights_and_nothing_else_does():
    tokenizer = tiny_tokenizer()
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first = build_language_model("1m", tokenizer, seed=1)
    assert torch.equal(before, torch.random.get_rng_state())
    torch.rand(3)
    assert same_weights(first, build_language_model("1m", tokenizer, seed=1))
    assert not same_weights(first, build_language_model("1m", tokenizer, seed=2))


@torch.no_grad()
def test_heads_that_look_for_the_same_word_find_it():
    tokenizer = tiny_tokenizer()
    plain, started = (build_language_model("1m", tokenizer, seed=3) for _ in range(2))
    look_for_the_same_word(started, seed=3)
    assert started.lm_head.weight is started.transformer.wte.weight
    again = build_language_model("1m", tokenizer, seed=3)
    look_for_the_same_word(again, seed=3)
    assert same_weights(started, again)

    ids = torch.tensor([[20, 21, 22, 23, 24, 25, 26, 22, 27, 28]])  # 22 stands at places 2 and 7
    on_its_like = []
    for model in (plain, started):
        model.config._attn_implementation = "eager"
        first_layer = model(ids, output_attentions=True).attentions[0][0]  # (heads, time, time)
        from_the_second = first_layer[:, 7].mean(0)
        others = [place for place in range(7) if place != 2]
        on_its_like.append(float(from_the_second[2] / from_the_second[others].mean()))
    assert on_its_like[0] < 1.5 and on_its_like[1] > 5


def test_saved_model_is_a_standard_folder(tmp_path):
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

    tokenizer = tiny_tokenizer()
    model = build_language_model("1m", tokenizer, seed=0)
    model.save_pretrained(tmp_path / "base")
    assert (tmp_path / "base" / "model.safetensors").exists()
    for loaded in (
        load_language_model(tmp_path / "base", tokenizer),
        build_language_model(tmp_path / "base", tokenizer, seed=9),
        AutoModelForCausalLM.from_pretrained(tmp_path / "base"),
    ):
        assert same_weights(model, loaded)
    reward = build_reward_model(model, tokenizer, seed=0)
    reward.save_pretrained(tmp_path / "reward")
    for loaded in (
        load_reward_model(tmp_path / "reward", tokenizer),
        AutoModelForSequenceClassification.from_pretrained(tmp_path / "reward"),
    ):
        assert same_weights(reward, loaded) and loaded.config.num_labels == 1


def test_reward_model_copies_the_trunk_and_starts_near_zero(tmp_path):
    tokenizer = tiny_tokenizer()
    model = build_language_model("1m", tokenizer, seed=0)
    reward = build_reward_model(model, tokenizer, seed=3)
    assert same_weights(model.transformer, reward.transformer)
    scores = reward(IDS).logits
    assert scores.shape == (2, 1) and scores.abs().max() < 1
    with torch.no_grad():
        reward.transformer.wte.weight.zero_()
    assert model.transformer.wte.weight.abs().sum() > 0  # a copy, not the same tensor
    model.save_pretrained(tmp_path)
    again = build_reward_model(tmp_path, tokenizer, seed=3)
    assert torch.allclose(again(IDS).logits, scores, atol=1e-6)
    padded = torch.nn.functional.pad(IDS, (0, 3), value=tokenizer.pad_token_id)
    assert torch.allclose(again(padded).logits, scores, atol=1e-5)


def test_foreign_checkpoint_gets_embeddings_for_added_tokens(tmp_path):
    """What `build_language_model("gpt2", ...)` does, with a small model in place of GPT-2."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import PreTrainedTokenizerFast

    foreign = ByteLevelBPETokenizer()
    foreign.train_from_iterator(["the cat"], vocab_size=260, special_tokens=["<|endoftext|>"])
    PreTrainedTokenizerFast(tokenizer_object=foreign._tokenizer).save_pretrained(tmp_path)
    size = foreign.get_vocab_size()
    original = tiny_model(
        tiny_tokenizer(),
        vocab_size=size,
        activation_function="gelu_new",
        resid_pdrop=0.1,
        pad_token_id=None,
        bos_token_id=0,
        eos_token_id=0,
    )
    original.save_pretrained(tmp_path)

    tokenizer = load_tokenizer(tmp_path)
    model = build_language_model(tmp_path, tokenizer, seed=0)
    assert model.config.vocab_size == len(tokenizer) == size + 4
    assert model.config.eos_token_id == tokenizer.eos_token_id
    assert model.config.resid_pdrop == 0.0 and model.config.activation_function == ACTIVATION
    ids = IDS.clamp(max=size - 1)
    new = model(ids).logits[..., :size]
    assert torch.allclose(new, original(ids).logits, atol=1e-4)
    assert same_weights(model, build_language_model(tmp_path, tokenizer, seed=0))
    model.save_pretrained(tmp_path / "again")
    load_language_model(tmp_path / "again", tokenizer)


def test_checkpoint_errors_say_what_is_wrong(tmp_path):
    tokenizer = tiny_tokenizer()
    model = build_language_model("1m", tokenizer, seed=0)
    model.save_pretrained(tmp_path / "base")
    build_reward_model(model, tokenizer, seed=0).save_pretrained(tmp_path / "reward")
    smaller = train_tokenizer(["the cat"] * 5, vocabulary_size=262)
    other = train_tokenizer([chr(97 + i % 26) * (i % 7 + 2) for i in range(500)], len(tokenizer))
    assert len(other) == len(tokenizer)
    with pytest.raises(CheckpointError, match="no model '3m': give a size .1m, 2m, 4m, 10m."):
        build_language_model("3m", tokenizer, seed=0)
    with pytest.raises(CheckpointError, match="no model"):
        load_language_model(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match="the tokenizer 262"):
        load_language_model(tmp_path / "base", smaller)
    with pytest.raises(CheckpointError, match="the tokenizer 262"):
        build_language_model(tmp_path / "base", smaller, seed=0)
    with pytest.raises(CheckpointError, match="another vocabulary of the same size"):
        load_language_model(tmp_path / "base", other)
    with pytest.raises(CheckpointError, match="another vocabulary of the same size"):
        build_reward_model(model, other, seed=0)
    with pytest.raises(CheckpointError, match="expected a GPT2ForSequenceClassification"):
        load_reward_model(tmp_path / "base")
    with pytest.raises(CheckpointError, match="expected a GPT2LMHeadModel"):
        load_language_model(tmp_path / "reward")
    (tmp_path / "base" / "model.safetensors").write_bytes(b"cut off")
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_language_model(tmp_path / "base")
    config = json.loads((tmp_path / "base" / "config.json").read_text())
    config["model_type"] = "bert"
    (tmp_path / "base" / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="only GPT-2 is read"):
        load_language_model(tmp_path / "base")
