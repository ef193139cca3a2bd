"""A reward model that learns a first guess with all its weights."""

from __future__ import annotations

import pytest
import torch
from tiny import tiny_model, tiny_tokenizer

from rlhf_tutorial.models import build_reward_model
from rlhf_tutorial.reward import encode_pairs, score_ids
from rlhf_tutorial.reward_head import end_states, kind_chances, straight_line
from rlhf_tutorial.reward_student import StudentSettings, learn_guess, teacher_scores
from rlhf_tutorial.sampled_replies import load_sampled, save_sampled

KINDS = {"the": ("thing",), "cat": ("thing", "dear"), "day": ("time",), "please": ("dear",)}
WORTH = {"thing": 4.0, "dear": -6.0, "time": 8.0}


@pytest.fixture
def setting():
    """A tokenizer, a reward model and rows of prompts with replies."""
    tokenizer = tiny_tokenizer()
    model = build_reward_model(tiny_model(tokenizer), tokenizer, seed=0)
    with torch.no_grad():  # a new model's chances hardly differ, and a line would do
        model.transformer.ln_f.weight.mul_(20)
    replies = ["yes thank you", "no", "the cat is here", "good day to your dog", "the day", "cat"]
    asked = [f"where is {name}" for name in ("the cat", "your dog", "the day", "you", "yes", "no")]
    rows = [row for prompt in asked for row in encode_pairs(tokenizer, [prompt] * 6, replies)]
    return tokenizer, model, rows


def test_the_teacher_is_the_sum_of_chances_times_worths(setting):
    tokenizer, model, rows = setting
    states = end_states(model, rows, tokenizer.pad_token_id)
    names, chances = kind_chances(model, tokenizer, states, KINDS)
    by_hand = sum(WORTH[name] * chances[:, index] for index, name in enumerate(names))
    said = teacher_scores(model, tokenizer, states, WORTH, KINDS)
    torch.testing.assert_close(said, by_hand - by_hand.mean(), atol=1e-4, rtol=1e-4)


def test_the_student_comes_nearer_to_the_teacher_than_a_straight_line(setting):
    tokenizer, model, rows = setting
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(4, len(tokenizer), (300, 6), generator=generator).tolist()
    rows = rows + [[*row, tokenizer.eos_token_id] for row in ids]  # more rows than the width
    states = end_states(model, rows, tokenizer.pad_token_id)
    wanted = teacher_scores(model, tokenizer, states, WORTH, KINDS)
    line = straight_line(states, wanted)
    by_line = float((states @ line - (states @ line).mean() - wanted).square().mean())
    settings = StudentSettings(batch_size=12, learning_rate=3e-3)
    errors = learn_guess(model, tokenizer, rows * 8, WORTH, KINDS, settings, seed=0)
    assert len(errors) == 8 * len(rows) // 12
    scores = score_ids(model, rows, tokenizer.pad_token_id)
    error = float((scores - scores.mean() - wanted).square().mean())
    assert error < 0.5 * by_line


def test_the_same_seed_gives_the_same_student(setting):
    tokenizer, _, rows = setting
    made = []
    for seed in (0, 0, 1):
        model = build_reward_model(tiny_model(tokenizer), tokenizer, seed=0)
        learn_guess(model, tokenizer, rows, WORTH, KINDS, StudentSettings(batch_size=6), seed=seed)
        made.append(score_ids(model, rows, tokenizer.pad_token_id))
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])


def test_sampled_replies_come_back_as_they_were_written(tmp_path):
    pairs = [("where is the cat", 'no\n"here" \u2028 \U0001f408'), ("you", "")]
    save_sampled(tmp_path, pairs)
    assert load_sampled(tmp_path) == pairs
