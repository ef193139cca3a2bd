"""Checks of notebook 06: intervals of copies, best-of-n, where to stop, the family that lost."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch

from rlhf_tutorial import overoptimisation
from rlhf_tutorial.checks.core import Wrong, attempted, exercise

WIDTHS = ("half as wide", "as wide", "twice as wide")
TOLERANCE = 1e-5


@exercise(
    "06.1",
    hints=(
        "The naive standard error is a standard deviation over the root of the number of prompts. "
        "What do four copies of each do to that number?",
        "The clustered one adds up the residuals of a template first. With four copies every such "
        "sum is four times as large, and so is the number of prompts that it is divided by.",
    ),
)
def copies(answer: Mapping[str, str]) -> str:
    """{"naive": ..., "clustered": ...}, each one of `WIDTHS`, for every prompt counted 4 times."""
    guesses = dict(answer)
    for name in ("naive", "clustered"):
        if attempted(guesses.get(name)) not in WIDTHS:
            raise Wrong(f"answer[{name!r}] must be one of: {', '.join(WIDTHS)}.")
    if guesses["naive"] != "half as wide":
        raise Wrong(
            "The naive interval takes every copy for a new prompt. With four times as many, look "
            "at what the root of n does to its width."
        )
    if guesses["clustered"] != "as wide":
        raise Wrong(
            "The clustered interval goes by how many templates there are; copies add none. Look at "
            "what happens to the sum within a template, and to n."
        )
    return "Copies bring no news. Only the clustered interval knows it."


@exercise(
    "06.2",
    hints=(
        "Sort the replies by the proxy. The reply in place i (from 0) is the best of n if it is "
        "drawn and the other n - 1 come from the i replies below it.",
        "There are math.comb(i, n - 1) such draws of math.comb(N, n) in all. That is its weight.",
        "Sort the gold scores by the proxy (proxy.argsort()) and add up weight times gold.",
    ),
)
def best_of_n(answer: Callable[[torch.Tensor, torch.Tensor, int], float]) -> str:
    """`answer(proxy, gold, n)` for one prompt: the expected gold of the best of n by the proxy."""
    generator = torch.Generator().manual_seed(6)
    proxy, gold = torch.randn(2, 12, generator=generator)
    for n in (1, 2, 5, 12):
        found = float(attempted(answer(proxy, gold, n)))
        right = _best(proxy, gold, n)
        if math.isclose(found, right, abs_tol=TOLERANCE):
            continue
        if n == 1:
            raise Wrong(
                f"For n = 1 nothing is chosen, so the answer is the mean gold score {right:.3f}; "
                f"yours is {found:.3f}. Do your weights add up to 1?"
            )
        if math.isclose(found, _best(gold, gold, n), abs_tol=TOLERANCE):
            raise Wrong("You sorted by gold. The one who chooses sees the proxy only: sort by it.")
        if math.isclose(found, _best(proxy, proxy, n), abs_tol=TOLERANCE):
            raise Wrong("This is the proxy of the chosen reply. What is its gold score?")
        if math.isclose(found, _best(-proxy, gold, n), abs_tol=TOLERANCE):
            raise Wrong("This is the worst of n: look at the direction in which you sort.")
        if math.isclose(found, _with_return(proxy, gold, n), abs_tol=TOLERANCE):
            raise Wrong(
                "You draw with return, so that one reply may come twice. Here n different replies "
                "are drawn: count them with math.comb."
            )
        raise Wrong(f"For n = {n} of 12 replies the answer is {right:.3f}; yours is {found:.3f}.")
    return "This is `rlhf_tutorial.overoptimisation.best_of_n`, for one prompt."


def _best(proxy: torch.Tensor, gold: torch.Tensor, n: int) -> float:
    return overoptimisation.best_of_n(proxy[None], gold[None], n).item()


def _with_return(proxy: torch.Tensor, gold: torch.Tensor, n: int) -> float:
    places = torch.arange(len(proxy) + 1, dtype=torch.float64) / len(proxy)
    return float(((places**n).diff() * gold[proxy.argsort()]).sum())


@exercise(
    "06.3",
    hints=(
        "At the top of the curve its slope is 0. The derivative of d (alpha - beta log d) with "
        "respect to d is alpha - beta log d - beta.",
        "Solve for log d, take the exponential, and remember that KL is the square of d.",
    ),
)
def where_to_stop(answer: Callable[[float, float], float]) -> str:
    """`answer(alpha, beta)`: the KL in nats at which d (alpha - beta log d) is highest."""
    for alpha, beta in ((0.5, 0.25), (0.9, 0.3), (0.2, 0.16)):
        found = float(attempted(answer(alpha, beta)))
        distance = overoptimisation.reinforcement_learning_peak(
            overoptimisation.Fit(alpha, beta, 0.0)
        )
        if math.isclose(found, distance**2, rel_tol=1e-4):
            continue
        if math.isclose(found, distance, rel_tol=1e-4):
            raise Wrong("This is d at the top. The question is for the KL, and d is its root.")
        if math.isclose(found, (alpha / (2 * beta)) ** 2, rel_tol=1e-4):
            raise Wrong("This is the top of d (alpha - beta d), the curve of best-of-n.")
        if math.isclose(found, math.exp(2 * alpha / beta), rel_tol=1e-4):
            raise Wrong(
                "This is where the gain is back at 0. At the top it is the slope that is 0: take "
                "the derivative first."
            )
        raise Wrong(
            f"For alpha = {alpha} and beta = {beta} the top is at a KL of {distance**2:.3f} nats; "
            f"yours is {found:.3f}."
        )
    return "Who knows the curve can stop in time. In practice nobody has the gold score to fit it."


@exercise(
    "06.4",
    hints=(
        "evaluation.gold_by_family gives the mean gold score of each family for one model.",
        "Take the difference of the two models' scores family by family, and the smallest of them.",
    ),
)
def least_gain(answer: str, before: Mapping[str, float], after: Mapping[str, float]) -> str:
    """The family whose gold rose least (or fell most) from `before` to `after`."""
    gains = {family: after[family] - before[family] for family in before}
    if answer not in gains:
        raise Wrong(f"{answer!r} is no family: choose one of {', '.join(gains)}.")
    least = min(gains, key=gains.get)
    if gains[answer] == gains[least]:
        return f"Its gold score changed by {gains[answer]:+.2f}. Now read its replies."
    if answer == max(gains, key=gains.get):
        raise Wrong("This family gained most. Look at the other end of the figure.")
    if after[answer] == min(after.values()):
        raise Wrong("This family scores lowest after RLHF. What did it score before?")
    raise Wrong(
        f"{answer} changed by {gains[answer]:+.2f}, and some family changed by less. Look at the "
        "lines of the figure: their length, and on which end RLHF is."
    )
