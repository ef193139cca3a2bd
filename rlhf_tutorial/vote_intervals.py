"""How sure a share of votes is: Wilson's interval, and the votes that a wanted width takes."""

from __future__ import annotations

import math
from statistics import NormalDist

MOST_VOTES = 1_000_000  # beyond it `votes_needed` stops counting


class VoteError(ValueError):
    """Something that a vote cannot do now; the message says what to do instead."""


def wilson_interval(rate: float, count: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval for a share of `count` votes; both ends in [0, 1].

    centre = (rate + z^2 / 2n) / (1 + z^2 / n), and to either side of it
    z / (1 + z^2 / n) * sqrt(rate (1 - rate) / n + z^2 / 4n^2). Source: Wilson (1927), Probable
    inference, the law of succession, and statistical inference. Raises VoteError for no votes.
    """
    if count < 1 or not 0 <= rate <= 1:
        raise VoteError(f"a rate of {rate} in {count} votes has no interval: give at least one")
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    shrink = 1 + z**2 / count
    centre = (rate + z**2 / (2 * count)) / shrink
    reach = z / shrink * math.sqrt(rate * (1 - rate) / count + z**2 / (4 * count**2))
    return max(0.0, centre - reach), min(1.0, centre + reach)


def votes_needed(width: float, rate: float = 0.5, confidence: float = 0.95) -> int:
    """The fewest votes at this rate whose interval, from end to end, is at most `width` wide."""
    if not 0 < width <= 1:
        raise VoteError(f"a width of {width} cannot be reached: give more than 0 and at most 1")

    def is_enough(count: int) -> bool:
        low, high = wilson_interval(rate, count, confidence)
        return high - low <= width

    high = 1
    while not is_enough(high) and high < MOST_VOTES:
        high *= 2
    low = high // 2  # too few, unless one vote is enough
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high
