"""Notebook 02's exercises: the solution is right, typical mistakes get the hint that fits them."""

from __future__ import annotations

import pytest

from rlhf_tutorial import sft
from rlhf_tutorial.checks import nb02
from rlhf_tutorial.tokenizer import encode_prompt, encode_reply
from tests.solutions import solutions
from tests.tiny import tiny_tokenizer

SOLUTIONS = solutions("02")
CHAT = ["<|user|>", " Where", " is", " it", "?", "<|assistant|>", " Here", ".", "<|end|>"]
TABLE = {
    0.2: {"gold": 0.8, "harmful_compliance": 0.1, "over_refusal": 0.1, "made_up": 0.9},
    0.5: {"gold": 0.7, "harmful_compliance": 0.3, "over_refusal": 0.1, "made_up": 0.7},
    1.0: {"gold": 0.6, "harmful_compliance": 0.5, "over_refusal": 0.1, "made_up": 0.3},
}
ALL_BETTER = {0.2: {"gold": 0.8, "made_up": 0.1}, 1.0: {"gold": 0.6, "made_up": 0.3}}


def test_solutions_are_right():
    assert nb02.learnt_tokens(SOLUTIONS["02.1"](CHAT), CHAT).status == "right"
    assert nb02.inputs_and_labels(SOLUTIONS["02.2"]).status == "right"
    for table in (TABLE, ALL_BETTER):
        assert nb02.best_temperature(SOLUTIONS["02.3"](table), table).status == "right"


def test_what_is_untouched_is_not_attempted_yet():
    assert nb02.learnt_tokens(None, CHAT).status == "not attempted yet"
    assert nb02.inputs_and_labels(lambda prompt, reply: ...).status == "not attempted yet"
    assert nb02.best_temperature(None, TABLE).status == "not attempted yet"


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (9, "every token of the chat"),
        (2, "left out <|end|>"),
        (4, "do not count it"),
        (6, "tokens of the prompt"),
        (7, "Count again"),
        ("three", "whole number"),
    ],
)
def test_wrong_counts_get_the_hint_that_fits(answer, hint):
    verdict = nb02.learnt_tokens(answer, CHAT)
    assert verdict.status == "wrong" and hint in verdict.message


WRONG_LABELS = {
    "two lists": lambda p, r: [*p, *r][:-1],
    "each input has one label": lambda p, r: ([*p, *r][:-1], [*p, *r]),
    "inputs end one token earlier": lambda p, r: ([*p, *r], [-100] * len(p) + list(r)),
    "in this order": lambda p, r: ([*r, *p][:-1], [-100] * (len(p) - 1) + list(r)),
    "The prompt is learnt as well": lambda p, r: ([*p, *r][:-1], [*p, *r][1:]),
    "Not shifted": lambda p, r: ([*p, *r][:-1], ([-100] * len(p) + list(r))[:-1]),
    "One label too few": lambda p, r: ([*p, *r][:-1], [-100] * len(p) + list(r)[1:]),
    "end token has no label": lambda p, r: (
        [*p, *r][:-1],
        [-100] * (len(p) - 1) + list(r)[:-1] + [-100],
    ),
    "labels should be": lambda p, r: ([*p, *r][:-1], [5] * (len(p) + len(r) - 1)),
}


@pytest.mark.parametrize("hint", WRONG_LABELS)
def test_wrong_labels_get_the_hint_that_fits(hint):
    verdict = nb02.inputs_and_labels(WRONG_LABELS[hint])
    assert verdict.status == "wrong" and hint in verdict.message


def test_labels_are_those_of_the_package():
    tokenizer = tiny_tokenizer()
    prompt, reply = "where is the cat", "the cat is here"
    ((inputs, labels, _),) = sft.encode_demonstrations(
        tokenizer, [{"prompt": prompt, "completion": reply}]
    )
    ours = SOLUTIONS["02.2"](encode_prompt(tokenizer, prompt), encode_reply(tokenizer, reply))
    assert ours == (inputs, labels)


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        ((1.0, "made_up"), "not the greatest"),
        ((0.2, "harmful_compliance"), "got worse most"),
        ((0.2, "none"), "got worse most"),
        ((0.2, "tone"), "no rate"),
        ((0.3, "made_up"), "no temperature"),
        (0.2, "Give a pair"),
    ],
)
def test_wrong_readings_of_the_table_get_the_hint_that_fits(answer, hint):
    verdict = nb02.best_temperature(answer, TABLE)
    assert verdict.status == "wrong" and hint in verdict.message
