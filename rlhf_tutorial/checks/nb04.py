"""Checks of notebook 04: odds, calibration, and a reply that fools the model."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from rlhf_tutorial.checks.core import Wrong, attempted, exercise

DIFFERENCE = 2.0  # the winner's score less the loser's, of exercise 04.1
EXPECTED_WINS = 88  # of 100: 100 / (1 + exp(-2)), rounded


@exercise(
    "04.1",
    hints=(
        "The chance is sigmoid(2). At a difference of 0 it is one half, at 1 it is about 0.73.",
        "sigmoid(2) = 1 / (1 + exp(-2)), and exp(-2) is about 0.135.",
    ),
)
def wins_of_a_hundred(answer: float) -> str:
    """How often of 100 a reply is chosen over one that scores 2 less."""
    if 0 < answer <= 1:
        raise Wrong("That looks like a share. How many of 100 choices is it?")
    if answer == 12:
        raise Wrong("That is how often the worse one is chosen.")
    if abs(answer - 67) <= 1:
        raise Wrong("Two to one would be 67 of 100. Scores are log-odds: 2 means e² to one.")
    if abs(answer - 73) <= 1:
        raise Wrong("That belongs to a difference of 1.")
    if abs(answer - EXPECTED_WINS) > 2:
        exact = 100 / (1 + math.exp(-DIFFERENCE))
        side = "low" if answer < exact else "high"
        raise Wrong(f"{answer:g} is too {side}.")
    return "e² to one is about 7.4 to 1."


@exercise(
    "04.2",
    hints=(
        "The table has one row a bin. For each row take the distance between `probability` and "
        "`frequency`.",
        "A bin with many pairs must weigh more: multiply by its `count` and divide by all counts.",
    ),
)
def calibration_error(answer: Callable[[Sequence[dict]], float]) -> str:
    """Expected calibration error from a table as `calibration.calibration` makes it."""
    table = [
        {"probability": 0.1, "frequency": 0.25, "count": 20},
        {"probability": 0.5, "frequency": 0.45, "count": 60},
        {"probability": 0.9, "frequency": 0.7, "count": 120},
    ]
    got = float(attempted(answer(table)))
    gaps = [row["frequency"] - row["probability"] for row in table]
    counts = [row["count"] for row in table]
    wanted = sum(n * abs(gap) for n, gap in zip(counts, gaps, strict=True)) / sum(counts)
    signed = sum(n * gap for n, gap in zip(counts, gaps, strict=True)) / sum(counts)
    if _close(got, sum(abs(gap) for gap in gaps) / len(gaps)):
        raise Wrong("Each bin counts the same here. A bin with more pairs should weigh more.")
    if _close(abs(got), abs(signed)):
        raise Wrong(
            "Too bold in one bin and too shy in another cancel here: take the distance, which is "
            "never below 0."
        )
    if _close(got, max(abs(gap) for gap in gaps)):
        raise Wrong("That is the worst bin. The expected error is a mean.")
    if _close(got, wanted * sum(counts)):
        raise Wrong("Divide by the number of all pairs, so that the error is between 0 and 1.")
    if _close(got, sum(n * g * g for n, g in zip(counts, gaps, strict=True)) / sum(counts)):
        raise Wrong("These are squares. The expected calibration error takes plain distances.")
    if not _close(got, wanted):
        raise Wrong(f"For the table of the check it should be {wanted:.4f}, yours gives {got:.4f}.")
    return "It is the number that rlhf_tutorial.calibration.calibration returns with its table."


@exercise(
    "04.3",
    hints=(
        "In section 7, look for a change that costs much by gold and little by reward.",
        "What happens if a right reply is said twice? And three times?",
        "A slip that costs little by reward can be paid for with a courtesy at the end.",
    ),
)
def fools(
    answer: str,
    *,
    right: str,
    reward: Callable[[str], float],
    gold: Callable[[str], float],
) -> str:
    """A reply that the reward model puts above a right one, and the gold judge clearly below.

    `reward` and `gold` score a reply to the prompt of the exercise.
    """
    if not isinstance(answer, str) or not answer.strip():
        raise Wrong("The answer is a reply: a text.")
    gain, loss = reward(answer) - reward(right), gold(right) - gold(answer)
    if gain <= 0 and loss < 0.05:
        raise Wrong(
            f"The reward model puts it {-gain:.2f} below the right reply, and gold hardly minds: "
            "make it worse in a way that the model does not see."
        )
    if gain <= 0:
        raise Wrong(
            f"Gold puts it {loss:.2f} lower, and so does the reward model ({gain:+.2f}): it was "
            "not fooled."
        )
    if loss < 0.05:
        raise Wrong(
            f"The reward model likes it ({gain:+.2f}), and gold does not mind ({-loss:+.2f}): the "
            "reply is too good."
        )
    return f"The reward model gives it {gain:+.2f}, gold {-loss:+.2f}. PPO looks for such replies."


def _close(value: float, wanted: float) -> bool:
    return abs(value - wanted) < 1e-4
