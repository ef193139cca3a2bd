"""Which of several runs the README shows."""

from __future__ import annotations

import pytest

from benchmarks.five_seeds import median_run


def report(seed: int, wins: float) -> dict:
    return {"seed": seed, "win_rate": {"rlhf_vs_sft": {"mean": wins}}}


@pytest.mark.parametrize(("wins", "shown"), [([0.7, 0.5, 0.9], 0), ([0.7, 0.5, 0.9, 0.6], 3)])
def test_the_readme_shows_the_median_run_and_of_an_even_number_the_lower(wins, shown):
    assert median_run([report(*pair) for pair in enumerate(wins)])["seed"] == shown
