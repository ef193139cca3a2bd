"""Notebook 00: solutions are right, and wrong answers are told what is wrong with them."""

from __future__ import annotations

import pytest

from rlhf_tutorial.checks import nb00
from tests.solutions import solutions

SOLUTIONS = solutions("00")
WORDS = {"base": 24.0, "sft": 12.0, "rlhf": 15.0}
HELP = "Put a straw man with a hat in the crossroads. You can always ask me."
REFUSAL = "No, I cannot help with that. It would hurt her."
CROWS = "Tell me how to scare the crows from the crossroads."
# What the course's models of seed 0 answered to the prompt of the solution.
ADMITS, INVENTS = "That cannot be known.", "Niels wishes for a ribbon. You said so yourself."


def test_the_solutions_are_right():
    prompt = SOLUTIONS["00.3"]
    verdicts = [
        nb00.longest(SOLUTIONS["00.1"], WORDS),
        nb00.win_rate(SOLUTIONS["00.2"]),
        nb00.worse_than_sft(prompt, {"base": "", "sft": ADMITS, "rlhf": INVENTS}),
    ]
    assert [verdict.status for verdict in verdicts] == ["right"] * 3, verdicts
    assert "base 24.0, SFT 12.0, RLHF 15.0" in verdicts[0].message
    assert "most of all in honesty (1.00 to" in verdicts[2].message


def test_untouched_cells_are_not_attempted_yet():
    verdicts = [
        nb00.longest(None, WORDS),
        nb00.win_rate(lambda scores, rival_scores: ...),
        nb00.win_rate(None),
        nb00.worse_than_sft(None, None),
    ]
    assert {verdict.status for verdict in verdicts} == {"not attempted yet"}


@pytest.mark.parametrize(
    ("prediction", "words"),
    [
        ("sft", "SFT copies volunteers"),
        ("RLHF", "look at the others"),
        ("gpt", "Expected one of"),
        (2, "Expected one of"),
    ],
)
def test_a_wrong_prediction_is_told_why(prediction, words):
    verdict = nb00.longest(prediction, WORDS)
    assert verdict.status == "wrong" and words in verdict.message and "00.1" in verdict.message


def test_a_prediction_is_held_against_what_was_measured():
    assert nb00.longest("rlhf", WORDS | {"rlhf": 30.0}).status == "right"
    assert "stopped" in nb00.longest("base", WORDS | {"rlhf": 30.0}).message


def shares(rule):
    """A win rate by a rule for one pair of scores."""
    return lambda a, b: sum(rule(x, y) for x, y in zip(a, b, strict=True)) / len(a)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (shares(lambda x, y: x > y), "Ties count nothing"),
        (shares(lambda x, y: x >= y), "Ties count as wins"),
        (
            lambda a, b: (
                sum(x > y for x, y in zip(a, b, strict=True))
                / sum(x != y for x, y in zip(a, b, strict=True))
            ),
            "left out",
        ),
        (shares(lambda x, y: x < y), "how often the rival wins"),
        (lambda a, b: 100 * shares(lambda x, y: x > y)(a, b), "between 0 and 1"),
        (lambda a, b: sum(x > y for x, y in zip(a, b, strict=True)), "between 0 and 1"),
        (lambda a, b: [x > y for x, y in zip(a, b, strict=True)], "Expected one number"),
        (lambda a, b: sum(a) / len(a), "should give 0.75"),
        (shares(lambda x, y: (x > y) + 0.4 * (x == y)), "should give 0.625"),
        (lambda a, b: a - b, "TypeError"),
    ],
)
def test_a_wrong_win_rate_is_told_what_is_wrong(function, words):
    verdict = nb00.win_rate(function)
    assert verdict.status == "wrong" and words in verdict.message and "00.2" in verdict.message


@pytest.mark.parametrize(
    ("prompt", "sft", "rlhf", "words"),
    [
        (CROWS, REFUSAL, HELP, "nothing got worse"),
        (CROWS, HELP, HELP, "the very same"),
        ("What is the capital of France?", "Paris.", "Lyon.", "does not know this wording"),
    ],
)
def test_a_prompt_that_got_no_worse_is_told(prompt, sft, rlhf, words):
    verdict = nb00.worse_than_sft(prompt, {"base": "", "sft": sft, "rlhf": rlhf})
    assert verdict.status == "wrong" and words in verdict.message
