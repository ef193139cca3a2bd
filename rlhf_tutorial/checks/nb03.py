"""Checks of notebook 03: pairs of a ranking with a tie, Kendall's tau, and how noisy people are."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from rlhf_tutorial.agreement import compared_pairs, tau_b
from rlhf_tutorial.checks.core import Wrong, attempted, exercise
from rlhf_tutorial.ranking_items import Item
from rlhf_tutorial.village.annotators import Annotator

TIED_FIVE = [[2], [0, 4], [1], [3]]  # five replies, two of them in one place
WANTED_AGREEMENT = 0.70
TOLERANCE = 0.04


@exercise(
    "03.1",
    hints=(
        "Count the pairs of five replies first: each of the five with each of the other four, "
        "and every pair only once.",
        "Then take away the pairs that the ranking does not order. How many are there in a tie "
        "of two?",
    ),
)
def pairs_with_a_tie(answer: int) -> str:
    """How many (better, worse) pairs `TIED_FIVE` gives."""
    if answer == 10:
        raise Wrong("10 is the count without a tie. Two of the replies share a place.")
    if answer in (18, 20):
        raise Wrong("That counts each pair from both sides. A pair is one comparison.")
    if answer in (3, 4):
        raise Wrong("That counts neighbours only. The first is also better than the last.")
    if answer != 9:
        raise Wrong(f"{answer} is not the number of pairs of five replies with one tie of two.")
    return "Ten pairs less the tied one."


@exercise(
    "03.2",
    hints=(
        "Go through every pair of replies i < j. The two people order it alike when "
        "first[i] - first[j] and second[i] - second[j] have the same sign.",
        "tau is (pairs ordered alike - pairs ordered the other way round) / (all pairs).",
    ),
)
def tau(answer: Callable[[Sequence[int], Sequence[int]], float]) -> str:
    """Kendall's tau of two lists of ranks without ties."""
    alike = attempted(answer([0, 1, 2, 3], [0, 1, 2, 3]))
    reversed_order = attempted(answer([0, 1, 2, 3], [3, 2, 1, 0]))
    if _close(alike, -1) and _close(reversed_order, 1):
        raise Wrong("The sign is turned round: equal orders should give +1.")
    if _close(alike, 1) and _close(reversed_order, 0):
        raise Wrong(
            "This is the share of pairs ordered alike, from 0 to 1. tau also takes away the pairs "
            "that are ordered the other way round, and runs from -1 to 1."
        )
    if alike > 1 + 1e-9:
        raise Wrong(
            f"Two equal orders give {alike:.3g}, and 1 is the most that tau can be: divide by the "
            "number of pairs that you have counted."
        )
    if 0 < alike < 1 - 1e-9:
        raise Wrong(
            f"Two equal orders give {alike:.3g} and not 1: do you compare a reply with itself, or "
            "divide by more pairs than there are?"
        )
    for first, second in (
        ([0, 1, 2, 3], [1, 0, 2, 3]),
        ([2, 0, 3, 1], [0, 1, 3, 2]),
        ([4, 2, 0, 1, 3], [3, 2, 1, 0, 4]),
        ([1, 0], [0, 1]),
    ):
        wanted, got = tau_b(first, second), answer(list(first), list(second))
        if not _close(got, wanted):
            raise Wrong(f"tau of {first} and {second} is {wanted:.3f}, yours gives {got:.3f}.")
    return "It is the same as rlhf_tutorial.agreement.tau_b on orders without ties."


@exercise(
    "03.3",
    hints=(
        "Call self_agreement_at with two temperatures that lie far apart, and see between which "
        "values the wanted share lies.",
        "Halve the interval until you are there. The answer lies between 0.1 and 0.4.",
    ),
)
def noise_of_a_person(answer: float, items: Sequence[Item]) -> str:
    """The temperature at which a person agrees with themself in `WANTED_AGREEMENT` of the pairs."""
    if not isinstance(answer, int | float) or not math.isfinite(answer) or answer <= 0:
        raise Wrong("A temperature is a number above 0.")
    share = self_agreement_at(answer, items)
    if share > WANTED_AGREEMENT + TOLERANCE:
        raise Wrong(
            f"At {answer:g} this person orders {share:.2f} of the pairs as before: too steady. "
            "Which way does more noise lie?"
        )
    if share < WANTED_AGREEMENT - TOLERANCE:
        raise Wrong(
            f"At {answer:g} this person orders only {share:.2f} of the pairs as before: too noisy."
        )
    return f"At {answer:g} the person orders {share:.2f} of the pairs as before."


def self_agreement_at(temperature: float, items: Sequence[Item]) -> float:
    """Share of pairs that a person without biases orders alike when asked twice."""
    person = Annotator(
        "someone", temperature=temperature, position_bias=0.0, length_bias=0.0, fatigue=0.0
    )
    counts = [
        compared_pairs(
            person.rank(item.prompt, item.replies, seed="once", item=number),
            person.rank(item.prompt, item.replies, seed="again", item=number),
        )
        for number, item in enumerate(items)
    ]
    return sum(alike for alike, _ in counts) / sum(compared for _, compared in counts)


def _close(value: float, wanted: float) -> bool:
    return abs(float(value) - wanted) < 1e-6
