"""Checks of notebook 05: baseline, leave-one-out, clip, KL coefficient, reward hacking."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from rlhf_tutorial.checks.core import Wrong, attempted, exercise

GETS_A_GRADIENT = [False, True, True, False]
# The notebook's four-word toy: the share of each word at the start, its longest reply, its scores.
SHARE_OF_YES, SHARE_OF_PLEASE, SHARE_OF_END = 0.35, 0.15, 0.50
LONGEST = 4
RISE = 0.2  # units of the reward model's score that count as a rise
LOOKS = 3  # steps at each end that are averaged


@exercise(
    "05.1",
    hints=(
        "Add ten to every score and look at the mean of ten times the gradient of log π alone.",
        "Probabilities add up to 1 whatever the weights are. What is the gradient of 1?",
        "The mean stays. Each single draw now pushes about ten times as hard.",
    ),
)
def predict_shift(answer: str) -> str:
    """Exercise 05.1: what adding ten to every score does to REINFORCE."""
    chosen = str(attempted(answer)).strip().lower()
    if chosen not in ("a", "b", "c"):
        raise Wrong('Choose "a", "b" or "c".')
    if chosen == "a":
        raise Wrong(
            "The mean is the same, but think of one batch: every word drawn in it is now pushed up "
            "about ten times as hard, whether it is good or bad."
        )
    if chosen == "c":
        raise Wrong(
            "Ten times the gradient of log π has a mean, and that mean is not ten times anything: "
            "compute the sum over the three words of π times the gradient of log π."
        )
    return "Same mean, more noise: that is why a baseline costs nothing and helps much."


@exercise(
    "05.2",
    hints=(
        "The sum of the others in a row is the sum of the row less the score itself.",
        "Divide by one less than the number of replies: scores.shape[1] - 1.",
        "Keep the axis of the sum: scores.sum(1, keepdim=True).",
    ),
)
def leave_one_out(function) -> str:
    """Exercise 05.2: advantages with the mean of the other replies as baseline."""
    scores = torch.tensor([[1.0, 2.0, 6.0], [0.0, 0.0, 3.0]])
    given = attempted(function(scores.clone()))
    given = torch.as_tensor(given, dtype=torch.float32)
    right = _leave_one_out(scores)
    if given.shape != scores.shape:
        raise Wrong(
            f"The result has the shape {tuple(given.shape)}; it must be that of the scores, "
            f"{tuple(scores.shape)}: one advantage a reply."
        )
    if _close(given, right):
        wide = torch.arange(8.0).reshape(2, 4) ** 2
        if not _close(torch.as_tensor(function(wide)), _leave_one_out(wide)):
            raise Wrong("Right for three replies and wrong for four: is the 3 written in?")
        return "It is the batch mean's advantage times n / (n - 1): same direction, no bias."
    if _close(given, scores - scores.mean(1, keepdim=True)):
        raise Wrong("The mean you subtract still contains the reply's own score: leave it out.")
    if _close(given, -right):
        raise Wrong("The sign is turned round: a reply better than the others needs a positive A.")
    if _close(given, scores - right) or _close(given, _mean_of_others(scores)):
        raise Wrong("That is the baseline itself: subtract it from the scores.")
    if _close(given, _leave_one_out(scores.T).T):
        raise Wrong("You compare across prompts: the mean goes along the row, axis 1.")
    if _close(given, scores - (scores.sum(1, keepdim=True) - scores) / scores.shape[1]):
        raise Wrong("There is one score fewer in the sum: divide by the number of others.")
    raise Wrong(
        f"For the scores [1, 2, 6] the others' means are 4, 3.5 and 1.5; expected "
        f"{_rounded(right[0])}, got {_rounded(given[0])}."
    )


@exercise(
    "05.3",
    hints=(
        "Look at the two panels above: where is the line flat?",
        "The limit is one-sided. Has the sample moved the way its advantage asks for, or not?",
    ),
)
def who_gets_a_gradient(answer: Sequence[bool]) -> str:
    """Exercise 05.3: which of four samples the clip leaves a gradient."""
    given = [bool(value) for value in attempted(answer)]
    if len(given) != len(GETS_A_GRADIENT):
        raise Wrong(f"Four samples need four answers; you gave {len(given)}.")
    if given == GETS_A_GRADIENT:
        return "Those that moved the wrong way are pulled back, the others have had enough."
    if given == [not value for value in GETS_A_GRADIENT]:
        raise Wrong("The other way round: you listed the samples whose gradient is gone.")
    if not any(given):
        raise Wrong(
            "All four ratios lie outside the clip, but the minimum takes the worse of two terms: "
            "for two samples that is the one that is not clipped."
        )
    if all(given):
        raise Wrong("Outside the clip the line is flat for some of them; a flat line has none.")
    first = next(i for i in range(4) if given[i] != GETS_A_GRADIENT[i])
    raise Wrong(
        f"Look at sample {first + 1}: compute ρ·A and clip(ρ)·A, take the smaller of the two, and "
        "ask whether it changes with ρ."
    )


@exercise(
    "05.4",
    hints=(
        "For one beta: (optimum(beta) * TOY_GOLD).sum().",
        "Try a range, such as 0.05, 0.1, 0.2 … 2, then look closer round the best of them.",
    ),
)
def best_beta(answer: float) -> str:
    """Exercise 05.4: the KL coefficient whose exact optimum has the highest gold score."""
    beta = float(attempted(answer))
    if not (math.isfinite(beta) and beta > 0):
        raise Wrong("A KL coefficient is a number above 0.")
    grid = [0.05 * 1.01**power for power in range(400)]
    best = max(grid, key=_gold_at)
    if abs(beta - best) <= 0.1 * best:
        return "Without gold one looks at replies, and at fresh human rankings, along the way."
    side, what = (
        ("smaller", "the policy hardly leaves the reference, and gold could still rise")
        if beta > best
        else ("larger", "the policy is already beyond the peak and begins to beg")
    )
    raise Wrong(
        f"At {beta:g} gold is {_gold_at(beta):.3f} and at its peak {_gold_at(best):.3f}: {what}. "
        f"Try a {side} coefficient."
    )


@exercise(
    "05.5",
    hints=(
        "Take the KL coefficient to 0 first. What else makes the policy travel further?",
        "More steps or a higher learning rate travel further. Watch gold, not the score.",
    ),
)
def over_optimised(history: Sequence[dict[str, Any]]) -> str:
    """Exercise 05.5: a run whose score rises while its gold reward falls from its peak."""
    rows = list(attempted(history))
    if len(rows) < 2 * LOOKS or not all("gold" in row for row in rows):
        raise Wrong(
            f"Give the history of a run: at least {2 * LOOKS} rows, each with objective/scores and "
            "gold, as `run_knobs` returns it."
        )
    scores = [row["objective/scores"] for row in rows]
    golds = _running([row["gold"] for row in rows])
    rise = _mean(scores[-LOOKS:]) - _mean(scores[:LOOKS])
    fall = max(golds) - golds[-1]
    kl = _mean([row["objective/kl"] for row in rows[-LOOKS:]])
    if rise < RISE:
        raise Wrong(
            f"The score itself rose by {rise:.2f} only: this policy has learnt little. Is the "
            "learning rate too low, or so high that it broke the model?"
        )
    if fall < 0.02:
        raise Wrong(
            f"Score up by {rise:.2f}, and gold is {fall:.2f} below its peak at a KL of {kl:.1f} "
            "nats: that is honest learning. Make the price of departing lower."
        )
    return f"Score up by {rise:.2f}, gold {fall:.2f} below its peak, KL {kl:.1f} nats."


def _leave_one_out(scores: torch.Tensor) -> torch.Tensor:
    return scores - _mean_of_others(scores)


def _mean_of_others(scores: torch.Tensor) -> torch.Tensor:
    return (scores.sum(1, keepdim=True) - scores) / (scores.shape[1] - 1)


def _close(given: torch.Tensor, right: torch.Tensor) -> bool:
    return given.shape == right.shape and torch.allclose(given, right, atol=1e-4)


def _rounded(values: torch.Tensor) -> list[float]:
    return [round(value, 2) for value in values.tolist()]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _running(values: Sequence[float]) -> list[float]:
    return [_mean(values[i : i + LOOKS]) for i in range(len(values) - LOOKS + 1)]


def _gold_at(beta: float) -> float:
    """Gold of the toy's exact optimum, summed over what is said before the end.

    A reply is `yes` times the word yes and `please` times the word please, in any order, and a
    full stop unless it has four words without one.
    """
    total = gold_total = 0.0
    for said in range(LONGEST + 1):
        for please in range(said + 1):
            yes, ended = said - please, said < LONGEST
            share = math.comb(said, please) * SHARE_OF_YES**yes * SHARE_OF_PLEASE**please
            share *= SHARE_OF_END if ended else 1.0
            score = 1.0 * (yes > 0) + 0.5 * please + 0.6 * ended
            gold = 0.0 if please > 1 else 0.6 * (yes > 0) + 0.2 * (please == 1) + 0.2 * ended
            weight = share * math.exp((score - 2.6) / beta)
            total += weight
            gold_total += weight * gold
    return gold_total / total
