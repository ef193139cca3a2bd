"""Notebook 06: each solution is right, and wrong answers get the hint that fits them."""

from __future__ import annotations

import math

import pytest
import torch

from rlhf_tutorial.checks import nb06
from tests.solutions import solutions

SOLUTIONS = solutions("06")
BEFORE = {"facts": 0.5, "errands": 0.7, "harm": 0.4}
AFTER = {"facts": 0.6, "errands": 0.65, "harm": 0.55}


def assert_wrong(verdict, words):
    assert verdict.status == "wrong" and words in verdict.message


def test_the_solutions_are_right():
    assert nb06.copies(SOLUTIONS["06.1"]).status == "right"
    assert nb06.best_of_n(SOLUTIONS["06.2"]).status == "right"
    assert nb06.where_to_stop(SOLUTIONS["06.3"]).status == "right"
    family = SOLUTIONS["06.4"](BEFORE, AFTER)
    assert nb06.least_gain(family, BEFORE, AFTER).status == "right"


def test_untouched_exercises_are_not_attempted_yet():
    verdicts = [
        nb06.copies({"naive": None, "clustered": None}),
        nb06.copies({"naive": "half as wide", "clustered": ...}),
        nb06.best_of_n(lambda proxy, gold, n: None),
        nb06.where_to_stop(lambda alpha, beta: ...),
        nb06.least_gain(None, BEFORE, AFTER),
    ]
    assert {verdict.status for verdict in verdicts} == {"not attempted yet"}


@pytest.mark.parametrize(
    ("naive", "clustered", "words"),
    [
        ("as wide", "as wide", "root of n"),
        ("half as wide", "half as wide", "how many templates"),
        ("twice as wide", "twice as wide", "root of n"),
        ("a quarter", "as wide", "must be one of"),
    ],
)
def test_wrong_guesses_of_copies(naive, clustered, words):
    assert_wrong(nb06.copies({"naive": naive, "clustered": clustered}), words)


def sorted_by(key):
    """A best-of-n that is right but for what it sorts by and what it adds up."""

    def answer(proxy, gold, n):
        order, values = key(proxy, gold)
        weights = [math.comb(i, n - 1) / math.comb(len(proxy), n) for i in range(len(proxy))]
        return (torch.tensor(weights) * values[order.argsort()]).sum()

    return answer


def with_return(proxy, gold, n):
    places = torch.arange(len(proxy) + 1) / len(proxy)
    return float(((places**n).diff() * gold[proxy.argsort()]).sum())


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (sorted_by(lambda proxy, gold: (gold, gold)), "sorted by gold"),
        (sorted_by(lambda proxy, gold: (-proxy, gold)), "worst of n"),
        (with_return, "draw with return"),
        (lambda proxy, gold, n: gold.mean(), "For n = 2"),
        (lambda proxy, gold, n: gold.sum(), "add up to 1"),
        (lambda proxy, gold, n: gold[99], "IndexError"),
    ],
)
def test_wrong_best_of_n(answer, words):
    assert_wrong(nb06.best_of_n(answer), words)


def test_the_proxy_of_the_chosen_is_not_its_gold():
    proxy_mean_first = sorted_by(lambda proxy, gold: (proxy, proxy))
    answer = lambda p, g, n: g.mean() if n == 1 else proxy_mean_first(p, g, n)  # noqa: E731
    assert_wrong(nb06.best_of_n(answer), "proxy of the chosen")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda alpha, beta: math.exp(alpha / beta - 1), "d is its root"),
        (lambda alpha, beta: (alpha / (2 * beta)) ** 2, "best-of-n"),
        (lambda alpha, beta: math.exp(2 * alpha / beta), "back at 0"),
        (lambda alpha, beta: alpha, "the top is at"),
        (lambda alpha, beta: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_wrong_places_to_stop(answer, words):
    assert_wrong(nb06.where_to_stop(answer), words)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("harm", "gained most"),
        ("facts", "changed by +0.10"),
        ("poems", "no family"),
    ],
)
def test_wrong_families(answer, words):
    assert_wrong(nb06.least_gain(answer, BEFORE, AFTER), words)


def test_the_lowest_family_is_not_the_one_that_gained_least():
    before = {"facts": 0.3, "errands": 0.7, "harm": 0.1}
    after = {"facts": 0.35, "errands": 0.6, "harm": 0.5}
    assert_wrong(nb06.least_gain("facts", before, after), "What did it score before")
