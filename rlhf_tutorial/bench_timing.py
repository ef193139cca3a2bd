"""Two ways to do one thing, measured in turns, and the ratio of their speeds with its spread.

A B A B ... in one process: whatever else the machine does falls on both sides alike. Each turn
gives one ratio; what is shown is the median of the ratios and the lowest and highest of them.
Simplified: no interval is computed. With a few turns the range says more than a formula would.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Comparison:
    """Speeds of two ways to do one thing, one of each a turn.

    Args:
        what: the thing that is done.
        against: the other way to do it.
        unit: of both speeds.
        ours, theirs: speeds, one a turn; more is better.
        reach: the ratio that is aimed for.

    Raises:
        ValueError: the sides have not the same number of turns, or none, or a speed is not above 0.
    """

    what: str
    against: str
    unit: str
    ours: tuple[float, ...]
    theirs: tuple[float, ...]
    reach: float

    def __post_init__(self) -> None:
        if not self.ours or len(self.ours) != len(self.theirs):
            raise ValueError(
                f"{self.what}: {len(self.ours)} speeds against {len(self.theirs)}: "
                "each turn needs one of both"
            )
        if min(*self.ours, *self.theirs) <= 0:
            raise ValueError(f"{self.what}: a speed is not above 0")

    @property
    def ratios(self) -> list[float]:
        """Our speed over theirs, turn by turn."""
        return [ours / theirs for ours, theirs in zip(self.ours, self.theirs, strict=True)]

    @property
    def ratio(self) -> float:
        """The median of the ratios."""
        return statistics.median(self.ratios)

    @property
    def spread(self) -> tuple[float, float]:
        """The lowest and the highest ratio."""
        return min(self.ratios), max(self.ratios)

    @property
    def is_reached(self) -> bool:
        """Whether the median is as high as what is aimed for."""
        return self.ratio >= self.reach


def in_turns(
    *sides: Callable[[int], float], turns: int, warm_ups: int = 1
) -> list[tuple[float, ...]]:
    """Measure all sides alternately; return the speeds of each.

    Each side is called with the number of the turn (its seed) and returns a speed. The first
    `warm_ups` turns are not kept. Raises ValueError when there is to be no turn.
    """
    if turns < 1:
        raise ValueError(f"the number of turns is {turns}: it must be at least 1")
    speeds: list[list[float]] = [[] for _ in sides]
    for turn in range(warm_ups + turns):
        for side, measured in zip(sides, speeds, strict=True):
            gc.collect()  # or one side would clear away what the other left behind
            measured.append(side(turn))
    return [tuple(measured[warm_ups:]) for measured in speeds]


class StepClock:
    """Notes the time after each training step; handed to a training loop as its `progress`.

    The first step is left out, since caches are cold, and the last one, at which some loops also
    evaluate or save.
    """

    def __init__(self) -> None:
        self.times: list[float] = []

    def __call__(self, step: int, total: int) -> None:
        self.times.append(time.perf_counter())

    @property
    def steps(self) -> int:
        """The number of steps that `seconds` covers."""
        return len(self.times) - 2

    @property
    def seconds(self) -> float:
        """From the end of the first step to the end of the last but one.

        Raises:
            ValueError: fewer than three steps were made.
        """
        if len(self.times) < 3:
            raise ValueError(f"{len(self.times)} steps were made: at least 3 are needed to time")
        return self.times[-2] - self.times[0]
