"""Tokenizer: a byte-level BPE with a chat template, as a plain transformers fast tokenizer.

All 256 bytes are tokens, so any text (emoji, Devanagari, typing errors) comes back exactly.
Four special tokens mark who speaks, where a reply ends and what is padding. A chat is written

    <|user|> PROMPT<|assistant|> REPLY<|end|>

with one space after each role token, because byte-level BPE treats "cat" and " cat" as different
words: with the space, the first word of a prompt is the same token as in running text.

Simplified: there is no system role, and no normalisation of Unicode (it would not round-trip).

A user may type the characters "<|end|>". Encoding must never turn them into the real end token,
or a prompt could put words into the assistant's mouth. The chat template of transformers cannot
promise that (it builds one string first), so the functions here encode texts and special tokens
apart; for ordinary texts both give the same ids, and a test compares them.

Source: byte-level BPE as in Radford et al., "Language Models are Unsupervised Multitask
Learners", 2019, section 2.2; BPE for words: Sennrich et al., 2016, arXiv 1508.07909.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

USER = "<|user|>"
ASSISTANT = "<|assistant|>"
END = "<|end|>"
PAD = "<|pad|>"
SPECIAL_TOKENS = (PAD, END, USER, ASSISTANT)

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}"
    "<|user|> {{ message['content'] }}"
    "{% elif message['role'] == 'assistant' %}"
    "<|assistant|>{% generation %} {{ message['content'] }}<|end|>{% endgeneration %}"
    "{% else %}"
    "{{ raise_exception('The role must be user or assistant, not ' + message['role']) }}"
    "{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)

# A prompt is a text, or a conversation [{"role": "user", "content": ...}, ...] that ends with the
# user's turn.
Prompt = str | list[dict[str, str]]


def train_tokenizer(texts: Iterable[str], vocabulary_size: int = 1536):
    """Train a byte-level BPE and wrap it as a `PreTrainedTokenizerFast`.

    Args:
        texts: the documents; an empty corpus is allowed and leaves the 256 bytes.
        vocabulary_size: tokens in all, the 4 special ones and the 256 bytes included. A small
            corpus may give fewer.

    Raises:
        ValueError: the vocabulary is too small for the bytes and the special tokens.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    smallest = 256 + len(SPECIAL_TOKENS)
    if vocabulary_size < smallest:
        raise ValueError(
            f"vocabulary_size is {vocabulary_size}, but the 256 bytes and the special tokens "
            f"need {smallest}: ask for at least that many"
        )
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    # Documents stand after a space, as they do in pretraining (see pretraining.py).
    backend.train_from_iterator((" " + text for text in texts), trainer)
    return _wrap(backend)


def _wrap(backend):
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=END,
        eos_token=END,
        pad_token=PAD,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        extra_special_tokens=[USER, ASSISTANT],
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def load_tokenizer(path: str | Path):
    """Load a tokenizer saved by `save_pretrained`, or the one of a model such as "gpt2".

    A tokenizer of another origin is given the special tokens and the chat template of this
    project, so its length may be greater than the vocabulary of its model;
    `models.build_language_model` then adds the missing embeddings.

    Raises:
        ValueError: there is no usable tokenizer at `path`.
    """
    from transformers import AutoTokenizer

    try:
        if isinstance(path, Path) and not path.exists():
            raise OSError("no such folder")  # before the hub is asked for a model of that name
        tokenizer = AutoTokenizer.from_pretrained(str(path))
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(
            f"no tokenizer could be loaded from '{path}': give a folder written by "
            "tokenizer.save_pretrained, or the name of a model that can be downloaded"
        ) from error
    vocabulary = tokenizer.get_vocab()
    if any(token not in vocabulary for token in SPECIAL_TOKENS):
        tokenizer.add_special_tokens(
            {
                "bos_token": END,
                "eos_token": END,
                "pad_token": PAD,
                "extra_special_tokens": [USER, ASSISTANT],
            }
        )
        tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.padding_side = "left"
    return tokenizer


def vocabulary_fingerprint(tokenizer) -> str:
    """Short hash of the vocabulary: two tokenizers with the same one give the same ids.

    Models carry it in their config (`vocabulary_fingerprint`), so that a checkpoint is not used
    with the tokenizer of another run, which would be silent nonsense.
    """
    entries = json.dumps(sorted(tokenizer.get_vocab().items()), ensure_ascii=True)
    return hashlib.sha256(entries.encode()).hexdigest()[:16]


def encode_texts(tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """Ids of each text as it stands: no token added, special tokens in it are plain characters.

    Raises:
        ValueError: a text is not a string or holds a lone surrogate (not valid Unicode).
    """
    texts = list(texts)
    for position, text in enumerate(texts):
        if not isinstance(text, str):
            raise ValueError(f"text {position} is {type(text).__name__}, expected str")
        if not text.isascii():
            try:
                text.encode("utf-8")
            except UnicodeEncodeError as error:
                raise ValueError(
                    f"text {position} is not valid Unicode (a lone surrogate at character "
                    f"{error.start}): remove it before encoding"
                ) from error
    backend = tokenizer.backend_tokenizer
    before = backend.encode_special_tokens
    backend.encode_special_tokens = True
    try:
        encodings = backend.encode_batch_fast(texts, add_special_tokens=False)
    finally:
        backend.encode_special_tokens = before
    return [encoding.ids for encoding in encodings]


def encode_prompts(tokenizer, prompts: Sequence[Prompt], *, chat: bool = True) -> list[list[int]]:
    """Ids of many prompts at once; see `encode_prompt`."""
    if not chat:
        end = tokenizer.eos_token_id
        for position, prompt in enumerate(prompts):
            if not isinstance(prompt, str):
                raise ValueError(f"prompt {position}: with chat=False a prompt must be a text")
        return [[end, *ids] for ids in encode_texts(tokenizer, [" " + text for text in prompts])]

    turns: list[list[dict[str, str]]] = []
    for position, prompt in enumerate(prompts):
        if isinstance(prompt, str):
            turns.append([{"role": "user", "content": prompt}])
        else:
            _check_conversation(prompt, position)
            turns.append(list(prompt))
    contents = [" " + turn["content"] for conversation in turns for turn in conversation]
    encoded = iter(encode_texts(tokenizer, contents))
    user, assistant = tokenizer.convert_tokens_to_ids([USER, ASSISTANT])
    end = tokenizer.eos_token_id
    rows = []
    for conversation in turns:
        row: list[int] = []
        for turn in conversation:
            if turn["role"] == "user":
                row += [user, *next(encoded)]
            else:
                row += [assistant, *next(encoded), end]
        rows.append([*row, assistant])
    return rows


def encode_prompt(tokenizer, prompt: Prompt, *, chat: bool = True) -> list[int]:
    """Ids of a prompt, ready for the model to continue.

    With `chat=True`: `<|user|> PROMPT<|assistant|>`, the same ids as
    `apply_chat_template(..., add_generation_prompt=True)`, except that special tokens which a
    user typed stay plain characters. With `chat=False`: `<|end|> TEXT`, for a base model, which
    only continues documents.

    Raises:
        ValueError: not a text nor a conversation that ends with the user's turn.
    """
    return encode_prompts(tokenizer, [prompt], chat=chat)[0]


def encode_reply(tokenizer, reply: str) -> list[int]:
    """Ids of a reply as it follows `encode_prompt`: a space, the text, and the end token."""
    return [*encode_texts(tokenizer, [" " + reply])[0], tokenizer.eos_token_id]


def decode_replies(tokenizer, rows: Iterable[Sequence[int]]) -> list[str]:
    """Texts of many replies at once; see `decode_reply`."""
    end, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
    kept = []
    for row in rows:
        ids = row.tolist() if hasattr(row, "tolist") else list(row)
        if end in ids:
            ids = ids[: ids.index(end)]
        kept.append([token for token in ids if token != pad])
    texts = tokenizer.backend_tokenizer.decode_batch(kept, skip_special_tokens=False)
    return [text.removeprefix(" ") for text in texts]


def decode_reply(tokenizer, ids: Sequence[int]) -> str:
    """Text of a reply: without padding, the end token, what follows it, and one leading space.

    A stray `<|user|>` or `<|assistant|>` stays visible, so that a judge can see the mistake.
    """
    return decode_replies(tokenizer, [ids])[0]


def _check_conversation(prompt: object, position: int) -> None:
    where = f"prompt {position}"
    if not isinstance(prompt, list | tuple) or not prompt:
        raise ValueError(f"{where}: expected a text or a non-empty list of turns")
    for number, turn in enumerate(prompt):
        if not isinstance(turn, dict) or not isinstance(turn.get("content"), str):
            raise ValueError(f"{where}, turn {number}: expected a dict with role and content")
        if turn.get("role") not in ("user", "assistant"):
            raise ValueError(
                f"{where}, turn {number}: the role is {turn.get('role')!r}, "
                "expected 'user' or 'assistant'"
            )
    if prompt[-1]["role"] != "user":
        raise ValueError(f"{where}: the last turn must be the user's, or there is nothing to reply")
