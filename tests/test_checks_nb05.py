"""Notebook 05: each solution is right, and wrong answers get the hint that fits them."""

from __future__ import annotations

import pytest
import torch

from rlhf_tutorial.checks import nb05
from tests.solutions import solutions

SOLUTIONS = solutions("05")


def history(scores, golds, kl=5.0):
    return [
        {"objective/scores": score, "gold": gold, "objective/kl": kl}
        for score, gold in zip(scores, golds, strict=True)
    ]


RISING = [0.0, 0.1, 0.2, 0.4, 0.6, 0.7, 0.8, 0.9]
HACKED = history(RISING, [0.6, 0.65, 0.7, 0.7, 0.7, 0.6, 0.5, 0.4])


def assert_wrong(verdict, words):
    assert verdict.status == "wrong" and words in verdict.message, verdict


def test_the_solutions_are_right():
    assert nb05.predict_shift(SOLUTIONS["05.1"]).status == "right"
    assert nb05.leave_one_out(SOLUTIONS["05.2"]).status == "right"
    assert nb05.who_gets_a_gradient(SOLUTIONS["05.3"]).status == "right"
    assert nb05.best_beta(SOLUTIONS["05.4"]).status == "right"
    assert nb05.over_optimised(HACKED).status == "right"
    assert set(SOLUTIONS["05.5"]) == {"kl_coefficient", "clip", "learning_rate"}


def test_untouched_exercises_are_not_attempted_yet():
    verdicts = [
        nb05.predict_shift(None),
        nb05.leave_one_out(lambda scores: None),
        nb05.who_gets_a_gradient(None),
        nb05.best_beta(None),
        nb05.over_optimised(None),
    ]
    assert {verdict.status for verdict in verdicts} == {"not attempted yet"}


@pytest.mark.parametrize(
    ("answer", "words"), [("a", "one batch"), ("c", "has a mean"), ("d", "Choose")]
)
def test_wrong_predictions_of_the_shift(answer, words):
    assert_wrong(nb05.predict_shift(answer), words)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda s: s - s.mean(1, keepdim=True), "reply's own score"),
        (lambda s: (s.sum(1, keepdim=True) - s) / (s.shape[1] - 1) - s, "sign"),
        (lambda s: (s.sum(1, keepdim=True) - s) / (s.shape[1] - 1), "baseline itself"),
        (lambda s: s - (s.sum(0, keepdim=True) - s) / (s.shape[0] - 1), "across prompts"),
        (lambda s: s - (s.sum(1, keepdim=True) - s) / s.shape[1], "number of others"),
        (lambda s: s - (s.sum(1, keepdim=True) - s) / 2, "is the 3 written in"),
        (lambda s: s.mean(1), "shape"),
        (lambda s: s * 0, "the others' means are 4, 3.5 and 1.5"),
        (lambda s: s - s.sum(1), "RuntimeError"),
    ],
)
def test_wrong_baselines(function, words):
    assert_wrong(nb05.leave_one_out(function), words)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ([True, False, False, True], "other way round"),
        ([False] * 4, "worse of two terms"),
        ([True] * 4, "flat"),
        ([False, True, False, False], "sample 3"),
        ([True, False], "four answers"),
    ],
)
def test_wrong_ideas_of_the_clip(answer, words):
    assert_wrong(nb05.who_gets_a_gradient(answer), words)


@pytest.mark.parametrize(
    ("beta", "words"),
    [(2.0, "smaller"), (0.1, "larger"), (-1.0, "above 0"), (float("nan"), "above 0")],
)
def test_wrong_kl_coefficients(beta, words):
    assert_wrong(nb05.best_beta(beta), words)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (history(RISING, [0.5, 0.55, 0.6, 0.6, 0.65, 0.7, 0.7, 0.7]), "honest learning"),
        (history([0.1] * 8, [0.6] * 8), "learnt little"),
        (HACKED[:4], "at least 6 rows"),
        ([{"objective/scores": 1.0}] * 8, "gold"),
    ],
)
def test_runs_that_were_not_over_optimised(rows, words):
    assert_wrong(nb05.over_optimised(rows), words)


def test_the_gold_of_the_toy_agrees_with_a_list_of_all_replies():
    """The check sums over counts of words; here every reply stands alone, as in the notebook."""
    replies, beta = [[]], 0.4
    for _ in range(4):
        replies += [[*said, word] for said in replies for word in "yp" if [*said, word]]
        replies = [list(reply) for reply in dict.fromkeys(map(tuple, replies)) if len(reply) <= 4]
    weights, golds = [], []
    for said in replies:
        ended, pleases, yes = len(said) < 4, said.count("p"), "y" in said
        share = 0.35 ** said.count("y") * 0.15**pleases * (0.5 if ended else 1.0)
        weights.append(share * torch.tensor((yes + 0.5 * pleases + 0.6 * ended) / beta).exp())
        golds.append(0.0 if pleases > 1 else 0.6 * yes + 0.2 * (pleases == 1) + 0.2 * ended)
    weights = torch.stack(weights)
    assert len(replies) == 31
    expected = float((weights * torch.tensor(golds)).sum() / weights.sum())
    assert nb05._gold_at(beta) == pytest.approx(expected, abs=1e-5)
