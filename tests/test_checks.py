"""The checks themselves: not attempted, right, wrong with a hint; claims that hold or not."""

from __future__ import annotations

import math

import pytest

from rlhf_tutorial.checks import Claim, core, hint, what_you_should_have_seen


@core.exercise("99.1", hints=("Think of two.", "It is the double."))
def double(answer):
    if core.attempted(answer(2)) != 4:
        raise core.Wrong("double(2) should be 4.")
    return "Well done."


def test_an_untouched_exercise_is_not_attempted_yet():
    assert double(None).status == "not attempted yet"
    assert double(lambda x: None).status == "not attempted yet"
    assert double(lambda x: ...).status == "not attempted yet"


def test_right_and_wrong_answers_say_so():
    assert str(double(lambda x: 2 * x)) == "Exercise 99.1: right. Well done."
    wrong = double(lambda x: x + 3)
    assert wrong.status == "wrong" and "should be 4" in wrong.message and "99.1" in wrong.message


def test_an_error_in_the_answer_is_a_verdict():
    assert "ZeroDivisionError" in double(lambda x: 1 / 0).message


def test_hints_come_in_steps_and_end_with_the_solution():
    core._given.pop("99.1", None)
    assert [hint("99.1") for _ in range(3)] == [
        "Hint 1 of 2: Think of two.",
        "Hint 2 of 2: It is the double.",
        "No more hints. The solution is in notebooks/solutions/nb99.py.",
    ]
    with pytest.raises(ValueError, match="no exercise"):
        hint("98.1")


def test_claims_hold_within_their_bounds_only(capsys):
    what_you_should_have_seen(Claim("win rate", 0.7, at_least=0.6), Claim("KL", 3, at_most=10))
    assert capsys.readouterr().out.count("held") == 2
    for value in (0.5, math.nan):
        with pytest.raises(AssertionError, match="win rate. Look at the KL"):
            what_you_should_have_seen(
                Claim("win rate", value, at_least=0.6, otherwise="Look at the KL."),
                Claim("KL", 3, at_most=10),
            )
    with pytest.raises(ValueError):
        what_you_should_have_seen()
