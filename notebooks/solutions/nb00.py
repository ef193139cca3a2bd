"""Solutions of notebook 00. The prompt of 00.3 is one for the course's seed 0; yours may differ."""

from __future__ import annotations


def win_rate(scores, rival_scores):
    """Share of prompts on which the first model scores higher; a tie counts a half."""
    points = 0.0
    for mine, theirs in zip(scores, rival_scores, strict=True):
        points += 1.0 if mine > theirs else 0.5 if mine == theirs else 0.0
    return points / len(scores)


SOLUTIONS = {
    "00.1": "base",
    "00.2": win_rate,
    "00.3": "What does Anton wish for in secret?",
}
