"""A tokenizer and models small enough for tests, built once or in milliseconds."""

from __future__ import annotations

from functools import lru_cache

import torch

from rlhf_tutorial.tokenizer import train_tokenizer


@lru_cache
def tiny_tokenizer():
    """260 bytes and special tokens, and some words."""
    words = "the cat is here good day to you and your dog where hi yes no thank please "
    return train_tokenizer([words * 20], vocabulary_size=320)


def tiny_config(tokenizer, **changes):
    """GPT-2 of 2 layers x 32, in which attention matters from the start."""
    from transformers import GPT2Config

    options = {
        "vocab_size": len(tokenizer),
        "n_positions": 96,
        "n_embd": 32,
        "n_layer": 2,
        "n_head": 2,
        "resid_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "attn_pdrop": 0.0,
        "initializer_range": 0.2,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "attn_implementation": "sdpa",
        **changes,
    }
    return GPT2Config(**options)


def tiny_model(tokenizer, seed: int = 0, **changes):
    """A language model of 2 layers x 32."""
    from transformers import GPT2LMHeadModel

    torch.manual_seed(seed)
    return GPT2LMHeadModel(tiny_config(tokenizer, **changes)).eval()


def tiny_reward_model(tokenizer, seed: int = 0, **changes):
    """A reward model of 2 layers x 32."""
    from transformers import GPT2ForSequenceClassification

    torch.manual_seed(seed)
    config = tiny_config(tokenizer, num_labels=1, initializer_range=0.02, **changes)
    return GPT2ForSequenceClassification(config).eval()
