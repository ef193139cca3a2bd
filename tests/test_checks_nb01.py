"""Notebook 01's exercises: the solution is right, typical mistakes get the hint that fits them."""

from __future__ import annotations

import math

import pytest
import torch

from rlhf_tutorial.checks import nb01
from rlhf_tutorial.pretraining import next_token_loss
from tests.solutions import solutions

SOLUTIONS = solutions("01")
CHECKS = {
    "01.2": nb01.what_comes_first,
    "01.1": nb01.bits_a_token,
    "01.3": nb01.frame,
}


@pytest.mark.parametrize("name", CHECKS)
def test_solutions_are_right(name):
    assert CHECKS[name](SOLUTIONS[name]).status == "right"


@pytest.mark.parametrize(
    ("name", "untouched"),
    [("01.2", None), ("01.1", lambda logits, targets: None), ("01.3", lambda prompt: ...)],
)
def test_what_is_untouched_is_not_attempted_yet(name, untouched):
    assert CHECKS[name](untouched).status == "not attempted yet"


@pytest.mark.parametrize(
    ("answer", "hint"), [("facts", "Look at the curves"), ("both", '"copying" or "facts"')]
)
def test_wrong_predictions(answer, hint):
    verdict = nb01.what_comes_first(answer)
    assert verdict.status == "wrong" and hint in verdict.message


def costs(logits, targets):
    chosen = logits.log_softmax(-1).gather(-1, targets.clamp(min=0)[..., None]).squeeze(-1)
    return -chosen / math.log(2)


WRONG_BITS = {
    "in nats": lambda x, y: next_token_loss(x, y),
    "sign is wrong": lambda x, y: -next_token_loss(x, y) / math.log(2),
    "the sum": lambda x, y: costs(x, y)[y != -100].sum(),
    "target -100": lambda x, y: costs(x, y).masked_fill(y == -100, 0.0).mean(),
    "mean of probabilities": lambda x, y: -torch.log2((2 ** -costs(x, y)[y != -100]).mean()),
    "expected": lambda x, y: torch.tensor(3.0),
}


@pytest.mark.parametrize("hint", WRONG_BITS)
def test_wrong_bits_get_the_hint_that_fits(hint):
    verdict = nb01.bits_a_token(WRONG_BITS[hint])
    assert verdict.status == "wrong" and hint in verdict.message


def test_bits_are_those_of_the_package():
    logits = torch.randn(3, 4, 9, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([[1, 2, -100, -100], [0, 8, 3, 4], [5, -100, -100, -100]])
    expected = float(next_token_loss(logits, targets)) / math.log(2)
    assert SOLUTIONS["01.1"](logits, targets) == pytest.approx(expected, abs=1e-5)


WRONG_FRAMES = {
    "word for word": lambda prompt: "Ada: Where is it?\nBram:",
    "ends with a space": lambda prompt: f"Ada: {prompt}\nBram: ",
    "Nobody asks": lambda prompt: f"{prompt}\nBram:",
    "a line of its own": lambda prompt: f"Ada: {prompt} Bram:",
    "about to answer": lambda prompt: f"Ada: {prompt}\nThe answer is",
    "must be a text": lambda prompt: ["Ada:", prompt, "Bram:"],
}


@pytest.mark.parametrize("hint", WRONG_FRAMES)
def test_wrong_frames_get_the_hint_that_fits(hint):
    verdict = nb01.frame(WRONG_FRAMES[hint])
    assert verdict.status == "wrong" and hint in verdict.message


def test_the_first_step_of_a_probe():
    history = [{"step": 1}, {"step": 2, "p": 0.2}, {"step": 3}, {"step": 4, "p": 0.95}]
    assert nb01.first_step(history, "p") == 4
    assert nb01.first_step(history[:3], "p") == 3  # never: past the last look
    with pytest.raises(ValueError, match="no probe"):
        nb01.first_step(history, "q")
