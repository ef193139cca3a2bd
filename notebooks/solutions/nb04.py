"""Solutions of notebook 04. Try the exercises and their hints first."""

from __future__ import annotations

from collections.abc import Sequence


def expected_calibration_error(table: Sequence[dict]) -> float:
    """Mean distance of what was predicted and what came true, weighted by pairs (exercise 04.2)."""
    pairs = sum(row["count"] for row in table)
    gaps = [row["count"] * abs(row["probability"] - row["frequency"]) for row in table]
    return sum(gaps) / pairs


def said_twice(right: str) -> str:
    """The right reply said twice: readers mind, and the reward model does not see it (04.3)."""
    return f"{right} {right}"


# Exercise 04.3 wants a text: said_twice(right) with the right reply of the notebook.
SOLUTIONS = {"04.1": 88, "04.2": expected_calibration_error, "04.3": said_twice}
