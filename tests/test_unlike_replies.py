"""Which replies people are shown: different ones, far apart in what would be remarked on them."""

from __future__ import annotations

import torch

from rlhf_tutorial import models, tokenizer
from rlhf_tutorial.reward import encode_pairs
from rlhf_tutorial.sampling import sample
from rlhf_tutorial.unlike_replies import most_unlike, most_unlike_each, remark_chances

SAME_PLACE = torch.zeros(7, 3)


def test_no_reply_is_shown_twice_and_a_ranking_gets_two():
    letters = ["a", "a", "b", "c", "b", "d", "e"]
    assert most_unlike(letters, SAME_PLACE, 4) == ["a", "b", "c", "d"]
    assert most_unlike(["a", "b", "a", "b"], SAME_PLACE[:4], 4) == ["a", "b"]
    assert most_unlike(["a", "a", "a"], SAME_PLACE[:3], 3) == ["a", "a"]  # they will share a tier


def test_each_next_reply_is_the_farthest_from_all_before():
    places = torch.tensor([[0.0], [0.1], [10.0], [9.0], [5.0]])
    assert most_unlike(["a", "b", "c", "d", "e"], places, 4) == ["a", "c", "e", "d"]


def test_places_are_chances_of_the_first_words_behind_the_reply():
    texts = ["Right. Wrong. Rude.", "Where is the drum? In the barn."] * 30
    reader = tokenizer.train_tokenizer(texts, 300)
    model = models.build_language_model("1m", reader, seed=0).eval()
    words = ["Right", "Wrong", "Rude"]
    replies = ["In the barn.", "In the well."]
    chances = remark_chances(model, reader, ["Where is the drum?"] * 2, replies, words)
    tokens = [reader(" " + word)["input_ids"][0] for word in words]
    assert chances.shape == (2, len(set(tokens)))
    rows = encode_pairs(reader, ["Where is the drum?"] * 2, replies)
    assert all(row[-1] == reader.eos_token_id for row in rows)
    for ids, row in zip(rows, chances, strict=True):
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0, -1]
        assert torch.allclose(row, logits[list(dict.fromkeys(tokens))].softmax(0), atol=1e-5)


def test_each_prompt_gets_the_most_unlike_of_its_own_replies():
    texts = ["Right. Wrong. Rude.", "Where is the drum? In the barn."] * 30
    reader = tokenizer.train_tokenizer(texts, 300)
    model = models.build_language_model("1m", reader, seed=0).eval()
    words, asked = ["Right", "Wrong", "Rude"], ["Where is the drum?", "Right?"]
    rollout = sample(model, reader, asked, replies_per_prompt=5, max_new_tokens=6, seed=0)
    shown = most_unlike_each(model, reader, rollout, 5, 3, words)
    for number, prompt in enumerate(asked):
        own = rollout.texts[5 * number : 5 * number + 5]
        places = remark_chances(model, reader, [prompt] * 5, own, words)
        assert shown[number] == most_unlike(own, places, 3)
