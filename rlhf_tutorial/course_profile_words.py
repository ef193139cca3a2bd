"""The sentences of "what your rankings say about you".

Each says what was measured and how sure it is; where an interval holds "no pull at all", the
sentence says that nothing can be told rather than the estimate.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

from rlhf_tutorial.preference_profile import Profile, Weight

PULLED = {  # name -> the reply that a positive weight favours, and the other one
    "position": ("the one at the top of the screen", "the one at the bottom"),
    "length": ("the one with 30 words more", "the shorter one"),
}
FEWEST_FOR_TIME = 10  # rankings with seconds, to say how they changed


@dataclass(frozen=True)
class Agreement:
    """Share of reply pairs that two orders put alike, with a 95 % interval over items."""

    name: str
    share: float
    low: float
    high: float
    pairs: int
    items: int


def sentences(
    weights: Profile, oneself: Agreement | None, colleagues: list[Agreement], seconds: list[float]
) -> list[str]:
    """All sentences about one reader, in the order of the figure's panels."""
    said = [_how_much(weights)]
    said += _axes(weights)
    said += [_pull(weights.weights[name]) for name in PULLED]
    if weights.ridge:
        said.append(
            "So few rankings leave a weight without a best value: larger and larger ones would "
            "fit still better, without end. A mild penalty on large weights (a ridge) holds them "
            "in and leaves a little more of your orders unexplained."
        )
    said.append(_oneself(oneself))
    said += _colleagues(colleagues)
    said += _seconds(seconds)
    return said


def chance(log_odds: float) -> float:
    """The probability that goes with log odds, without overflow."""
    return 0.5 + 0.5 * math.tanh(log_odds / 2)


def percent(share: float) -> str:
    """A share as a whole percentage, but never 0 or 100 for what is only near."""
    if 0 < share < 0.01:
        return "under 1 %"
    if 0.99 < share < 1:
        return "over 99 %"
    return f"{share:.0%}".replace("%", " %")


def _how_much(profile: Profile) -> str:
    return (
        f"From {_count(profile.items, 'ranking')}: six qualities, place and length fit your "
        f"orders with a loss {percent(max(0.0, profile.explained))} lower than that of guessing, "
        "measured on these same rankings; fresh ones would fit less well. The rest is taste, other "
        "qualities and chance."
    )


def _axes(profile: Profile) -> list[str]:
    axes = [w for name, w in profile.weights.items() if name not in PULLED]
    towards = sorted((w for w in axes if w.low > 0), key=lambda w: -w.estimate)
    against = [w for w in axes if w.high < 0]
    unclear = [w.name for w in axes if w.low <= 0 <= w.high]
    untested = [w.name for w in axes if math.isnan(w.estimate)]
    said = []
    if towards:
        told = "; ".join(f"{w.name}, {_share(w)}" for w in towards)
        said.append(
            "What moves you, strongest first, with how often you would take the reply that has all "
            f"of it over one that has none and is otherwise alike: {told}."
        )
    if against:
        told = "; ".join(f"{w.name}, {_share(w)}" for w in against)
        said.append(f"What you turn away from, all else being equal: {told}.")
    if unclear:
        said.append(
            f"About {_list(unclear)} your rankings do not say if you want more or less of them."
        )
    if untested:
        said.append(f"No item tested {_list(untested)}: the replies that you saw did not differ.")
    return said


def _pull(weight: Weight) -> str:
    favoured, other = PULLED[weight.name]
    if math.isnan(weight.estimate):
        return f"The {weight.name} of replies never differed, so its pull cannot be told."
    if not weight.is_clear:
        return (
            f"No pull of the {weight.name} can be seen: of two replies that are otherwise alike "
            f"you would take {favoured} in {_share(weight)}, and 50 % is no pull."
        )
    if weight.high < 0:
        favoured, weight = other, _turned(weight)
    return (
        f"The {weight.name} pulls you: of two replies that are otherwise alike you would take "
        f"{favoured} in {_share(weight)}."
    )


def _share(weight: Weight) -> str:
    low, high = percent(chance(weight.low)), percent(chance(weight.high))
    middle = percent(chance(weight.estimate))
    return middle if low == high else f"{middle} ({low} to {high})"


def _turned(weight: Weight) -> Weight:
    return Weight(weight.name, -weight.estimate, weight.standard_error, -weight.high, -weight.low)


def _oneself(own: Agreement | None) -> str:
    if own is None:
        return "You ranked no item twice, so how far you agree with yourself is not known."
    return (
        f"You agree with yourself on {_agreement(own)}, over {_count(own.items, 'item')} shown "
        "twice. That is a yardstick for any model of your taste, though no strict limit."
    )


def _colleagues(rows: list[Agreement]) -> list[str]:
    if not rows:
        return []
    rows = sorted(rows, key=lambda row: -row.share)
    nearest, furthest = rows[0], rows[-1]
    if len(rows) == 1:
        return [f"{nearest.name} orders {_agreement(nearest)} as you do."]
    text = f"Nearest to you is {nearest.name}, with {_agreement(nearest)} alike"
    text += f"; furthest is {furthest.name}, with {_agreement(furthest)}."
    if furthest.high >= nearest.low:
        text += " The intervals overlap: more rankings may change who is nearest."
    return [text]


def _agreement(row: Agreement) -> str:
    return f"{percent(row.share)} of {row.pairs} pairs ({percent(row.low)} to {percent(row.high)})"


def _seconds(seconds: list[float]) -> list[str]:
    timed = [value for value in seconds if value > 0]
    if not timed:
        return []
    middle = statistics.median(timed)
    text = f"An item took you {middle:.0f} seconds, by the median."
    if len(timed) >= FEWEST_FOR_TIME:
        half = len(timed) // 2
        early, late = statistics.median(timed[:half]), statistics.median(timed[-half:])
        text += f" It was {early:.0f} in the first half and {late:.0f} in the second."
    return [text]


def _count(number: int, one: str) -> str:
    return f"{number} {one if number == 1 else one + 's'}"


def _list(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
