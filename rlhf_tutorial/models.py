"""Models: GPT-2 from a size or a checkpoint, and the reward model on its trunk.

All are plain transformers classes, so `save_pretrained` writes standard folders that TRL and others
can read. No model is written here: the point of this course is what is done to one.

Simplified: one architecture (GPT-2); dropout is 0, because a fresh village document is seen about
once and over-fitting is not what limits a model of 1 M weights, and because dropout would make
the log-probabilities of sampling and of training differ.

Source: GPT-2, Radford et al. 2019; reward model from the language model's trunk, Stiennon et al.
2020, arXiv 2009.01325, section 3.4.
"""

from __future__ import annotations

import copy
import re
from pathlib import Path

import torch
from torch import nn

from rlhf_tutorial.tokenizer import vocabulary_fingerprint

# Weights are counted for a vocabulary of 1,536. Heads of 64 numbers: in 32 too many words look
# alike for a head to find the same word again.
SIZES: dict[str, dict[str, int]] = {
    "1m": {"n_layer": 4, "n_embd": 128, "n_head": 2},  # 1.0 M, the course's model
    "2m": {"n_layer": 4, "n_embd": 192, "n_head": 3},  # 2.1 M, of the preset full
    "4m": {"n_layer": 5, "n_embd": 256, "n_head": 4},  # 4.4 M, for comparisons
    "10m": {"n_layer": 6, "n_embd": 384, "n_head": 6},  # 11.3 M, for comparisons
}
MATCHING_GAIN = 1.4  # how clearly a head of a new model tells its own word from others
POSITION_START = 0.2  # of GPT-2's size: at the start what a word is counts more than where it is
CONTEXT = 160  # tokens; the longest prompt and reply of the village have about 110
# The same function as GPT-2's own "gelu_new", but one fused kernel: a step takes a quarter less.
ACTIVATION = "gelu_pytorch_tanh"
NO_DROPOUT = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}


class CheckpointError(ValueError):
    """A checkpoint is missing, of another kind, or of another vocabulary."""


def build_language_model(name: str | Path, tokenizer, *, seed: int, context: int = CONTEXT):
    """Build a `GPT2LMHeadModel`: new for a size of `SIZES`, else from a checkpoint.

    Args:
        name: a size such as "2m", a folder, or a name on the hub such as "gpt2".
        tokenizer: gives the vocabulary. A checkpoint whose vocabulary lacks only tokens that
            were added to its tokenizer (`load_tokenizer`) gets new embeddings for them.
        seed: of the new weights. The global random state is left as it was.
        context: longest text in tokens, for a new model.

    Raises:
        CheckpointError: no such size or checkpoint, or a checkpoint of another vocabulary.
    """
    from transformers import GPT2Config, GPT2LMHeadModel

    if str(name) not in SIZES:
        model = _from_pretrained(GPT2LMHeadModel, name)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            _fit_vocabulary(model, tokenizer, name)
        return model.eval()
    config = GPT2Config(
        **SIZES[str(name)],
        **NO_DROPOUT,
        vocab_size=len(tokenizer),
        n_positions=context,
        activation_function=ACTIVATION,
        attn_implementation="sdpa",
        **_special_ids(tokenizer),
    )
    config.vocabulary_fingerprint = vocabulary_fingerprint(tokenizer)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return GPT2LMHeadModel(config).eval()


@torch.no_grad()
def look_for_the_same_word(model, *, seed: int) -> None:
    """Start the heads of a new GPT-2 with equal query and key matrices, in place.

    A query then agrees best with keys of the same word. Without this start a model does learn to
    copy from few documents, but not to notice that two words are the same or are not. It is no
    good where the sum of all words tells enough: heads look at little else at first.

    Source: Trockman and Kolter 2023, arXiv 2305.09828, who found query times key near a multiple
    of the identity in trained transformers. Simplified: random orthogonal columns, no other part.
    """
    width, heads = model.config.n_embd, model.config.n_head
    generator = torch.Generator().manual_seed(seed)
    model.transformer.wpe.weight.mul_(POSITION_START)
    for block in model.transformer.h:
        weight = block.attn.c_attn.weight  # (width, queries and keys and values)
        for head in range(heads):
            columns = torch.arange(width // heads) + head * (width // heads)
            directions = torch.empty(width, width // heads)
            nn.init.orthogonal_(directions, MATCHING_GAIN, generator=generator)
            weight[:, columns] = directions
            weight[:, width + columns] = directions


def build_reward_model(source, tokenizer, *, seed: int):
    """Build a `GPT2ForSequenceClassification` with one score, on a copy of a trunk.

    Args:
        source: a `GPT2LMHeadModel`, or the folder of one.
        seed: of the score head, which starts near 0 so that all replies score alike at first.

    Raises:
        CheckpointError: as `load_language_model`.
    """
    from transformers import GPT2ForSequenceClassification

    if isinstance(source, str | Path):
        source = load_language_model(source, tokenizer)
    _check_vocabulary(source, tokenizer, "the language model")
    config = copy.deepcopy(source.config)
    config.num_labels = 1
    config.architectures = ["GPT2ForSequenceClassification"]
    config.pad_token_id = tokenizer.pad_token_id
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = GPT2ForSequenceClassification(config)
        nn.init.normal_(model.score.weight, std=1.0 / (config.n_embd + 1))  # Stiennon et al. 2020
    model.transformer.load_state_dict(source.transformer.state_dict())
    return model.to(source.device).eval()


def load_language_model(path: str | Path, tokenizer=None):
    """Load a `GPT2LMHeadModel`; with a tokenizer, check that the vocabularies agree.

    Raises:
        CheckpointError: nothing there, a reward model, or another vocabulary.
    """
    from transformers import GPT2LMHeadModel

    return _load(GPT2LMHeadModel, path, tokenizer)


def load_reward_model(path: str | Path, tokenizer=None):
    """Load a `GPT2ForSequenceClassification` with one score; checks as `load_language_model`.

    Raises:
        CheckpointError: nothing there, not a reward model, or another vocabulary.
    """
    from transformers import GPT2ForSequenceClassification

    model = _load(GPT2ForSequenceClassification, path, tokenizer)
    if model.config.num_labels != 1:
        raise CheckpointError(
            f"the model in '{path}' has {model.config.num_labels} scores: a reward model has 1"
        )
    return model


def reward_scale(reward_model) -> tuple[float, float]:
    """Mean and standard deviation of its scores over the training replies; 0 and 1 if unknown."""
    config = reward_model.config
    return getattr(config, "reward_mean", 0.0), getattr(config, "reward_std", 1.0)


def load_trunk(path: str | Path, tokenizer=None):
    """Load a `GPT2Model`, which has no head; checks and errors as `load_language_model`."""
    from transformers import GPT2Model

    return _load(GPT2Model, path, tokenizer)


def count_weights(model: nn.Module) -> int:
    """Number of weights; tied ones count once."""
    return sum(parameter.numel() for parameter in model.parameters())


def _special_ids(tokenizer) -> dict[str, int]:
    return {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def _load(model_class, path: str | Path, tokenizer):
    model = _from_pretrained(model_class, path)
    if tokenizer is not None:
        _check_vocabulary(model, tokenizer, f"the model in '{path}'")
    return model.eval()


def _from_pretrained(model_class, name: str | Path):
    from safetensors import SafetensorError
    from transformers import AutoConfig

    missing = (
        f"no model '{name}': give a size ({', '.join(SIZES)}), a folder written by "
        "save_pretrained, or the name of a GPT-2 model that can be downloaded"
    )
    if _cannot_be_a_name(name):
        raise CheckpointError(missing)  # at once, and without asking the hub
    try:
        config = AutoConfig.from_pretrained(str(name))
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(missing) from error
    if config.model_type != "gpt2":
        raise CheckpointError(f"the model '{name}' is a {config.model_type}: only GPT-2 is read")
    kinds = config.architectures or []
    wanted, other = model_class.__name__, "GPT2ForSequenceClassification"
    if (wanted == other) != (other in kinds):
        raise CheckpointError(
            f"the model '{name}' is a {' '.join(kinds) or 'language model'}, expected a {wanted}"
        )
    try:
        return model_class.from_pretrained(
            str(name),
            attn_implementation="sdpa",
            dtype=torch.float32,
            activation_function=_faster(config.activation_function),
            **NO_DROPOUT,
        )
    except (OSError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(
            f"the weights of '{name}' cannot be read: the folder may be incomplete or damaged, "
            "so build the model again"
        ) from error


def _cannot_be_a_name(name: str | Path) -> bool:
    """True for a folder that is not there, or something like "3m", which is no size."""
    if Path(name).exists():
        return False
    text = str(name)
    return (
        isinstance(name, Path)
        or text.startswith((".", "~", "/"))
        or re.fullmatch(r"\d+m", text) is not None
    )


def _faster(activation: str) -> str:
    return ACTIVATION if activation == "gelu_new" else activation


def _check_vocabulary(model, tokenizer, what: str) -> None:
    size = model.config.vocab_size
    if size != len(tokenizer):
        raise CheckpointError(
            f"{what} has a vocabulary of {size} tokens, the tokenizer {len(tokenizer)}: "
            "use the tokenizer that the model was trained with"
        )
    fingerprint = getattr(model.config, "vocabulary_fingerprint", None)
    if fingerprint is not None and fingerprint != vocabulary_fingerprint(tokenizer):
        raise CheckpointError(
            f"{what} was trained with another vocabulary of the same size: "
            "use the tokenizer that lies beside the model"
        )


def _fit_vocabulary(model, tokenizer, name: str | Path) -> None:
    """Add embeddings for tokens that were added to the checkpoint's own tokenizer."""
    added = len(tokenizer) - tokenizer.vocab_size
    if added and model.config.vocab_size == tokenizer.vocab_size:
        model.resize_token_embeddings(len(tokenizer))
        for key, value in _special_ids(tokenizer).items():
            setattr(model.config, key, value)
            setattr(model.generation_config, key, value)
    else:
        _check_vocabulary(model, tokenizer, f"the model '{name}'")
    model.config.vocabulary_fingerprint = vocabulary_fingerprint(tokenizer)
