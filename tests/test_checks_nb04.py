"""Notebook 04's exercises: the solution is right, typical mistakes get the hint that fits them."""

from __future__ import annotations

import pytest

from rlhf_tutorial.calibration import calibration
from rlhf_tutorial.checks import nb04
from rlhf_tutorial.village.gold import judge
from tests.solutions import solutions

SOLUTIONS = solutions("04")
PROMPT = "Please bring the drum to Rosa at the inn."
RIGHT = "I will bring the drum to Rosa at the inn."


def gold(reply: str) -> float:
    return judge(PROMPT, reply).gold


def loves_length(reply: str) -> float:
    """A stand-in for a reward model: blind to everything but the number of words."""
    return len(reply.split()) / 10


def fools(answer):
    return nb04.fools(answer, right=RIGHT, reward=loves_length, gold=gold)


def test_solutions_are_right():
    assert nb04.wins_of_a_hundred(SOLUTIONS["04.1"]).status == "right"
    assert nb04.calibration_error(SOLUTIONS["04.2"]).status == "right"
    assert fools(SOLUTIONS["04.3"](RIGHT)).status == "right"


def test_the_solution_is_the_number_of_the_package():
    table, error = calibration([0.1, 0.12, 0.5, 0.55, 0.9, 0.95], [0, 1, 1, 0, 1, 1])
    assert SOLUTIONS["04.2"](table) == pytest.approx(error)


def test_untouched_exercises_are_not_attempted_yet():
    assert nb04.wins_of_a_hundred(None).status == "not attempted yet"
    assert nb04.calibration_error(lambda table: ...).status == "not attempted yet"
    assert fools(None).status == "not attempted yet"


@pytest.mark.parametrize(
    ("answer", "hint"),
    [(0.88, "share"), (12, "worse one"), (67, "Two to one"), (73, "of 1"), (97, "too high")],
)
def test_wrong_odds_are_told_apart(answer, hint):
    verdict = nb04.wins_of_a_hundred(answer)
    assert verdict.status == "wrong" and hint in verdict.message


def gap(row) -> float:
    return row["frequency"] - row["probability"]


def weighted(table, distance) -> float:
    return sum(row["count"] * distance(gap(row)) for row in table) / sum(r["count"] for r in table)


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (lambda table: sum(abs(gap(row)) for row in table) / len(table), "counts the same"),
        (lambda table: weighted(table, float), "cancel"),
        (lambda table: max(abs(gap(row)) for row in table), "worst bin"),
        (lambda table: sum(row["count"] * abs(gap(row)) for row in table), "number of all pairs"),
        (lambda table: weighted(table, lambda g: g * g), "squares"),
        (lambda table: 0.0, "yours gives"),
        (lambda table: table[7], "IndexError"),
    ],
)
def test_wrong_calibration_errors_are_told_apart(answer, hint):
    verdict = nb04.calibration_error(answer)
    assert verdict.status == "wrong" and hint in verdict.message


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        ("No.", "was not fooled"),
        (f"{RIGHT} I hope that helps.", "too good"),
        (RIGHT, "hardly minds"),
        ("  ", "a text"),
        (3, "a text"),
    ],
)
def test_replies_that_do_not_fool_are_told_apart(answer, hint):
    verdict = fools(answer)
    assert verdict.status == "wrong" and hint in verdict.message
