"""The tokenizer: exact round trips, chat format, and special tokens that a user types."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import tiny_tokenizer

from rlhf_tutorial.tokenizer import (
    ASSISTANT,
    END,
    PAD,
    SPECIAL_TOKENS,
    USER,
    decode_replies,
    decode_reply,
    encode_prompt,
    encode_prompts,
    encode_reply,
    encode_texts,
    load_tokenizer,
    train_tokenizer,
    vocabulary_fingerprint,
)

HARD_TEXTS = [
    "",
    " ",
    "  two spaces, a tab\t and\r\nlines\n\n",
    "🙂 👩‍👩‍👧 🇮🇳",
    "नमस्ते, क्या हाल है?",
    "\x00\x1f\ufeff\u200b",
    "e\u0301 is not \u00e9",  # not normalised
    f"{END} {USER} I say {ASSISTANT}{PAD}",
    "<|end|><|end|",
]
# Any valid Unicode, often with special tokens inside.
texts = st.lists(
    st.one_of(st.text(max_size=12), st.sampled_from([*SPECIAL_TOKENS, *HARD_TEXTS])), max_size=5
).map("".join)

ordinary = st.text(max_size=12).filter(lambda text: "<|" not in text)


def special_ids(tokenizer) -> set[int]:
    return set(tokenizer.convert_tokens_to_ids(list(SPECIAL_TOKENS)))


@pytest.mark.parametrize("text", HARD_TEXTS)
def test_hard_texts_come_back_exactly(text):
    tokenizer = tiny_tokenizer()
    assert decode_reply(tokenizer, encode_reply(tokenizer, text)) == text
    ids = encode_texts(tokenizer, [text])[0]
    assert tokenizer.decode(ids) == text
    assert not special_ids(tokenizer) & set(ids)


@settings(max_examples=150, deadline=None)
@given(texts)
def test_any_text_comes_back_exactly_and_never_gives_special_tokens(text):
    tokenizer = tiny_tokenizer()
    user, end, assistant = tokenizer.convert_tokens_to_ids([USER, END, ASSISTANT])
    reply = encode_reply(tokenizer, text)
    assert decode_reply(tokenizer, reply) == text
    assert reply[-1] == end and not special_ids(tokenizer) & set(reply[:-1])
    prompt = encode_prompt(tokenizer, text)
    assert prompt[0] == user and prompt[-1] == assistant
    assert not special_ids(tokenizer) & set(prompt[1:-1])
    assert tokenizer.decode(prompt) == f"{USER} {text}{ASSISTANT}"


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(ordinary, ordinary), max_size=3), ordinary)
def test_prompt_equals_the_chat_template(earlier, last):
    tokenizer = tiny_tokenizer()
    turns = []
    for question, reply in earlier:
        turns.append({"role": "user", "content": question})
        turns.append({"role": "assistant", "content": reply})
    turns.append({"role": "user", "content": last})
    expected = tokenizer.apply_chat_template(turns, add_generation_prompt=True)["input_ids"]
    assert encode_prompt(tokenizer, turns) == expected
    reply = [{"role": "assistant", "content": "yes"}]
    whole = tokenizer.apply_chat_template(turns + reply)["input_ids"]
    assert encode_prompt(tokenizer, turns) + encode_reply(tokenizer, "yes") == whole


def test_encoding_leaves_the_tokenizer_as_it_was():
    tokenizer = tiny_tokenizer()
    end = tokenizer.eos_token_id
    encode_texts(tokenizer, [END])
    assert tokenizer.encode(END) == [end]


def test_template_marks_the_tokens_of_the_assistant():
    tokenizer = tiny_tokenizer()
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "good day"}]
    encoded = tokenizer.apply_chat_template(turns, return_assistant_tokens_mask=True)
    pairs = zip(encoded["input_ids"], encoded["assistant_masks"], strict=True)
    assert [token for token, mine in pairs if mine] == encode_reply(tokenizer, "good day")


def test_words_are_one_token_wherever_they_stand():
    tokenizer = tiny_tokenizer()
    assert len(encode_prompt(tokenizer, "dog")) == 3
    assert encode_prompt(tokenizer, "dog")[1] == encode_texts(tokenizer, ["the dog"])[0][-1]
    assert encode_reply(tokenizer, "dog")[0] == encode_prompt(tokenizer, "dog")[1]


def test_text_for_a_base_model_starts_a_document():
    tokenizer = tiny_tokenizer()
    ids = encode_prompt(tokenizer, "the cat", chat=False)
    assert ids == [tokenizer.eos_token_id, *encode_texts(tokenizer, [" the cat"])[0]]


def test_reply_ends_at_the_first_end_token():
    tokenizer = tiny_tokenizer()
    pad, end = tokenizer.pad_token_id, tokenizer.eos_token_id
    first, second = encode_reply(tokenizer, "the cat"), encode_reply(tokenizer, "a dog")
    assert decode_reply(tokenizer, first + second) == "the cat"
    assert decode_reply(tokenizer, [*first[:-1], pad, pad]) == "the cat"
    assert decode_replies(tokenizer, [first, second, [end], []]) == ["the cat", "a dog", "", ""]
    user = tokenizer.convert_tokens_to_ids(USER)
    assert USER in decode_reply(tokenizer, [user, *first])  # a mistake to be seen


def test_saved_tokenizer_is_the_same(tmp_path):
    tokenizer = tiny_tokenizer()
    tokenizer.save_pretrained(tmp_path)
    loaded = load_tokenizer(tmp_path)
    assert vocabulary_fingerprint(loaded) == vocabulary_fingerprint(tokenizer)
    assert loaded.chat_template == tokenizer.chat_template
    assert (loaded.bos_token, loaded.eos_token, loaded.pad_token) == (END, END, PAD)
    assert loaded.padding_side == "left"
    text = f"the cat 🙂 {END}"
    assert encode_prompt(loaded, text) == encode_prompt(tokenizer, text)


def test_tokenizer_of_another_origin_gets_the_special_tokens(tmp_path):
    from tokenizers import ByteLevelBPETokenizer
    from transformers import PreTrainedTokenizerFast

    foreign = ByteLevelBPETokenizer()
    foreign.train_from_iterator(["the cat"], vocab_size=260, special_tokens=["<|endoftext|>"])
    PreTrainedTokenizerFast(
        tokenizer_object=foreign._tokenizer, eos_token="<|endoftext|>"
    ).save_pretrained(tmp_path)
    loaded = load_tokenizer(tmp_path)
    assert len(loaded) == loaded.vocab_size + 4
    assert decode_reply(loaded, encode_reply(loaded, "a dog 🙂")) == "a dog 🙂"
    assert encode_reply(loaded, "a")[-1] == loaded.convert_tokens_to_ids(END)


def test_training_is_deterministic_and_holds_the_size():
    texts = ["the cat sat on the mat", "where is my hat"] * 20
    first, second = (train_tokenizer(texts, vocabulary_size=275) for _ in range(2))
    assert len(first) == 275
    assert vocabulary_fingerprint(first) == vocabulary_fingerprint(second)
    assert vocabulary_fingerprint(first) != vocabulary_fingerprint(tiny_tokenizer())


def test_bad_input_is_named(tmp_path):
    tokenizer = tiny_tokenizer()
    with pytest.raises(ValueError, match="need 260"):
        train_tokenizer(["a"], vocabulary_size=100)
    with pytest.raises(ValueError, match="no tokenizer could be loaded"):
        load_tokenizer(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="text 1 is not valid Unicode"):
        encode_texts(tokenizer, ["fine", "broken \ud800"])
    with pytest.raises(ValueError, match="text 0 is int"):
        encode_texts(tokenizer, [3])
    with pytest.raises(ValueError, match="prompt 1: the last turn"):
        encode_prompts(tokenizer, ["hi", [{"role": "assistant", "content": "yes"}]])
    with pytest.raises(ValueError, match="turn 0: the role is 'system'"):
        encode_prompt(tokenizer, [{"role": "system", "content": "be kind"}])
    with pytest.raises(ValueError, match="non-empty list"):
        encode_prompt(tokenizer, [])
    with pytest.raises(ValueError, match="must be a text"):
        encode_prompt(tokenizer, [{"role": "user", "content": "hi"}], chat=False)
