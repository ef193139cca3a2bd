"""What the doctor reads and what it says: a history by columns, and a finding."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import mean, stdev

FEW_STEPS = 4  # fewer say little about a trend


@dataclass(frozen=True)
class Finding:
    """A likely cause, the numbers that speak for it, and what to look at or change."""

    cause: str
    evidence: str
    check: str


class Log:
    """A history by columns. Values that are not finite numbers are left out."""

    def __init__(self, history: Sequence[Mapping]):
        self.rows = [
            {str(name): float(value) for name, value in row.items() if is_number(value)}
            for row in history
        ]
        known = ("objective/", "policy/", "val/", "loss/")
        self.names = {name for row in self.rows for name in row if name.startswith(known)}

    def column(self, name: str) -> list[float]:
        """The numbers of one quantity in order of steps."""
        return [row[name] for row in self.rows if name in row and math.isfinite(row[name])]

    def start(self, name: str) -> float | None:
        """A quantity in the first row."""
        value = self.rows[0].get(name, math.nan)
        return value if math.isfinite(value) else None

    def end(self, name: str) -> float | None:
        """Mean of a quantity over the last third of its rows, the noise of one row being large."""
        values = self.column(name)
        return mean(values[-max(1, len(values) // 3) :]) if values else None

    @cached_property
    def spread_of_scores(self) -> float | None:
        """Standard deviation of scores from reply to reply; None for fewer than eight rows.

        The batch's mean score jumps from step to step by that over the root of the batch size.
        """
        scores, episode, step = (
            self.column("objective/scores"),
            self.start("episode"),
            self.start("step"),
        )
        if len(scores) < 8 or not episode or not step:
            return None
        jumps = [later - earlier for earlier, later in zip(scores, scores[1:], strict=False)]
        return stdev(jumps) / math.sqrt(2) * math.sqrt(episode / step)

    @cached_property
    def surprises(self) -> list[float]:
        """How much more `surprise` there was than 1, in steps that moved the policy little.

        The entropy is measured while the policy learns, so it must not have gone far.
        """
        calm = [row for row in self.rows if row.get("policy/approxkl_avg", 0.0) < 0.1]
        shares = [surprise(row) for row in calm]
        return [share - 1 for share in shares if share is not None and math.isfinite(share)]


def surprise(row: Mapping) -> float | None:
    """How surprising a step's sampled tokens were, as a share of the policy's entropy.

    About 1 if tokens are drawn from the policy itself, because the mean of -log p over tokens drawn
    from p is the entropy of p. None where a quantity is missing.
    """
    spoken, length = row.get("objective/entropy"), row.get("val/reply_length")
    entropy = row.get("policy/entropy_avg")
    return spoken / length / entropy if spoken is not None and length and entropy else None


def is_number(value) -> bool:
    """Whether this is a number, be it infinite or NaN, and not a truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """Mean of noisy values and its standard error, infinite for fewer than three."""
    if len(values) < 3:
        return (mean(values) if values else 0.0), math.inf
    return mean(values), stdev(values) / math.sqrt(len(values))
