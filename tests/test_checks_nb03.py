"""Notebook 03's exercises: the solution is right, typical mistakes get the hint that fits them."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from rlhf_tutorial.agreement import tau_b
from rlhf_tutorial.checks import nb03
from rlhf_tutorial.ranking_items import load_items
from tests.solutions import solutions

SOLUTIONS = solutions("03")
ROOT = Path(__file__).resolve().parent.parent
ITEMS = load_items(ROOT / "data" / "rankings_sample.jsonl")[:60]


def balance(first, second, pairs) -> int:
    return sum(1 if (first[i] - first[j]) * (second[i] - second[j]) > 0 else -1 for i, j in pairs)


def test_solutions_are_right():
    assert nb03.pairs_with_a_tie(SOLUTIONS["03.1"]).status == "right"
    assert nb03.tau(SOLUTIONS["03.2"]).status == "right"
    assert nb03.noise_of_a_person(SOLUTIONS["03.3"], ITEMS).status == "right"


def test_the_counted_ranking_is_the_one_of_the_package():
    from rlhf_tutorial.preferences import Ranking, pairs

    tiers = nb03.TIED_FIVE
    ranking = Ranking(id="a", prompt="p", replies=list("abcde"), tiers=tiers).validate()
    assert len(pairs(ranking)) == SOLUTIONS["03.1"]


def test_untouched_exercises_are_not_attempted_yet():
    assert nb03.pairs_with_a_tie(None).status == "not attempted yet"
    assert nb03.tau(lambda first, second: ...).status == "not attempted yet"
    assert nb03.noise_of_a_person(None, ITEMS).status == "not attempted yet"


@pytest.mark.parametrize(
    ("answer", "hint"), [(10, "without a tie"), (20, "both sides"), (4, "neighbours"), (7, "7 is")]
)
def test_wrong_counts_are_told_apart(answer, hint):
    verdict = nb03.pairs_with_a_tie(answer)
    assert verdict.status == "wrong" and hint in verdict.message


def share_alike(first, second):
    pairs = list(itertools.combinations(range(len(first)), 2))
    return (balance(first, second, pairs) / len(pairs) + 1) / 2


def with_itself(first, second):
    size = range(len(first))
    signs = [(first[i] - first[j]) * (second[i] - second[j]) for i in size for j in size]
    return sum((s > 0) - (s < 0) for s in signs) / len(signs)


def neighbours_only(first, second):
    pairs = [(i, i + 1) for i in range(len(first) - 1)]
    return balance(first, second, pairs) / len(pairs)


def not_divided(first, second):
    return balance(first, second, list(itertools.combinations(range(len(first)), 2)))


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (share_alike, "share of pairs"),
        (lambda a, b: -tau_b(a, b), "sign is turned round"),
        (with_itself, "with itself"),
        (not_divided, "divide by the number of pairs"),
        (neighbours_only, "yours gives"),
        (lambda a, b: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_wrong_taus_are_told_apart(answer, hint):
    verdict = nb03.tau(answer)
    assert verdict.status == "wrong" and hint in verdict.message


@pytest.mark.parametrize(
    ("answer", "hint"), [(0.05, "too steady"), (0.6, "too noisy"), (-1, "above 0"), ("x", "above")]
)
def test_wrong_temperatures_are_told_apart(answer, hint):
    verdict = nb03.noise_of_a_person(answer, ITEMS)
    assert verdict.status == "wrong" and hint in verdict.message
