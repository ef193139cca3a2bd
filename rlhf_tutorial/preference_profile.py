"""What somebody seems to want, from the orders they gave: a rank-ordered conditional logit.

Plackett (1975) and Luce (1959): the best reply is chosen with a probability proportional to
exp(u), then the best of the rest, and so on. Here u = features @ weights, so a ranking of four is
three choices and says more than three single pairs would. Newton's method finds the weights; the
inverse of the observed information gives their standard errors (Beggs, Cardell and Hausman,
"Assessing the potential demand for electric cars", Journal of Econometrics 17, 1981).

Weights are in units of the person's own noise: from orders alone nobody can tell strong wishes
under much noise from weak wishes under little.

Ties: a tier of tied replies stands for an order that was not told. Its probability is the sum over
every order that agrees with the tiers (Allison and Christakis, "Logit models for sets of ranked
items", Sociological Methodology 24, 1994, the exact method), which five replies make cheap.

Separation: when some combination of features orders every item as the person did, no finite
weights are best. Then, and only then, a ridge is added: normal priors around 0 with a standard
deviation of `RIDGE_SPREAD` on each weight times the widest difference of its feature within an
item. The result says so in `ridge`.

Features that always move together, as may happen in few rankings, are another matter: their sum
has a best weight, and how it is shared between them cannot be told. They get intervals that reach
beyond anything, and no ridge.

Simplified: one person, noise that stays the same, choices that do not depend on each other.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from rlhf_tutorial.preferences import Ranking

NORMAL_95 = 1.959963984540054  # the 97.5 % point of the normal distribution
RIDGE_SPREAD = 10.0  # prior standard deviation: e^10 to 1 between the extremes is a strong wish
LEAST_INFORMATION = 1e-3  # below, a standard error is over 30, and e^30 to 1 is no finding
NO_INFORMATION = 1e-9  # what rounding leaves of none at all
ENDLESS_STEP = 0.1  # Newton's steps shrink to nothing near a best value, and stay near 1 without
MAXIMUM_STEPS = 60
TOLERANCE = 1e-8  # nats that another Newton step could gain

Features = Callable[[Ranking], np.ndarray] | Sequence[np.ndarray]


class ProfileError(ValueError):
    """The rankings cannot be fitted; the message says what is missing."""


@dataclass(frozen=True)
class Weight:
    """One weight in units of the person's noise, with its 95 % interval; NaN if never tested."""

    name: str
    estimate: float
    standard_error: float
    low: float
    high: float

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves out 0; False for what was never tested."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Profile:
    """Fitted weights. `ridge` is 0 unless the rankings alone have no finite best weights."""

    weights: dict[str, Weight]
    log_likelihood: float  # nats, of all rankings under the fitted weights
    chance: float  # nats, of all rankings under equal chances
    items: int
    ridge: float

    @property
    def untested(self) -> list[str]:
        """Features that never differed between the replies of one item."""
        return [name for name, weight in self.weights.items() if math.isnan(weight.estimate)]

    @property
    def explained(self) -> float:
        """McFadden's share of the log-likelihood that the weights explain, 0 (chance) to 1."""
        return 1 - self.log_likelihood / self.chance


def fit(rankings: Iterable[Ranking], features: Features, names: Sequence[str]) -> Profile:
    """Weights with 95 % intervals from one person's rankings; skipped items are left out.

    Args:
        rankings: of one person.
        features: (replies, features) of a ranking in the canonical order of its replies: either a
            function of the ranking, or one array for each ranking.
        names: of the features, in their order.

    Raises:
        ProfileError: nothing is ranked, nothing is strict, or features are not finite numbers of
            the right shape.
    """
    rankings = list(rankings)
    tables = [features(r) for r in rankings] if callable(features) else list(features)
    if len(tables) != len(rankings):
        raise ProfileError(f"{len(tables)} arrays of features for {len(rankings)} rankings")
    pairs = [(r, t) for r, t in zip(rankings, tables, strict=True) if len(r.tiers) > 1]
    if not pairs:
        raise ProfileError("there is no ranking that puts one reply above another: rank some first")
    choices = arrange([(r.tiers, _checked(r, t, names)) for r, t in pairs])
    ranges = choices.ranges()
    tested = ranges > 0
    if not tested.any():
        raise ProfileError("no feature ever differs between two replies of one item")
    scaled = choices.only(tested, ranges[tested])
    ridge, (weights, information, last_step) = 0.0, newton(scaled, ridge=0.0)
    # Little information alone would not do: features that move together leave none, either.
    if np.linalg.eigvalsh(information)[0] < LEAST_INFORMATION and last_step > ENDLESS_STEP:
        ridge = RIDGE_SPREAD**-2
        weights, information, _ = newton(scaled, ridge)
    roots, directions = np.linalg.eigh(information)
    errors = np.sqrt(directions**2 @ (1 / np.maximum(roots, NO_INFORMATION)))
    estimates = np.full((2, len(names)), np.nan)
    estimates[:, tested] = np.stack([weights, errors]) / ranges[tested]
    return Profile(
        weights={n: _weight(n, *row) for n, row in zip(names, estimates.T, strict=True)},
        log_likelihood=derivatives(scaled, weights)[0],
        chance=derivatives(scaled, 0 * weights)[0],
        items=len(pairs),
        ridge=ridge,
    )


@dataclass(frozen=True)
class Choices:
    """Rankings as arrays: one row for each order that agrees with what was told.

    `features` is (rows, places, features), best first and padded with zeros; `present` is
    (rows, places); `item` (rows,) says which ranking a row belongs to, in ascending order.
    """

    features: np.ndarray
    present: np.ndarray
    item: np.ndarray

    def ranges(self) -> np.ndarray:
        """(features,) The widest difference of each feature between two replies of one item."""
        here = self.present[..., None]
        highest = np.where(here, self.features, -np.inf).max(1)
        lowest = np.where(here, self.features, np.inf).min(1)
        return (highest - lowest).max(0)

    def only(self, wanted: np.ndarray, ranges: np.ndarray) -> Choices:
        """The wanted features, each divided by its range."""
        return Choices(self.features[..., wanted] / ranges, self.present, self.item)


def arrange(told: Sequence[tuple[list[list[int]], np.ndarray]]) -> Choices:
    """`Choices` of (tiers, features (replies, features)) pairs, one row for each order."""
    places = max(len(table) for _, table in told)
    rows, present, item = [], [], []
    for number, (tiers, table) in enumerate(told):
        for order in orders(tiers):
            missing = places - len(order)
            rows.append(np.pad(table[order], ((0, missing), (0, 0))))
            present.append([True] * len(order) + [False] * missing)
            item.append(number)
    return Choices(np.array(rows, dtype=float), np.array(present), np.array(item))


def orders(tiers: list[list[int]]) -> list[list[int]]:
    """Every full order, best first, that agrees with the tiers."""
    of_tiers = [list(itertools.permutations(tier)) for tier in tiers]
    return [[i for tier in order for i in tier] for order in itertools.product(*of_tiers)]


def derivatives(choices: Choices, weights: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Log-likelihood (nats), its gradient (features,) and the observed information.

    With p the probabilities of one choice among those that are left: the gradient is the chosen
    features minus their mean under p, the information their covariance under p. For ties, orders
    are weighted by their share r of the summed probability; the information loses the covariance of
    the orders' gradients under r (Louis, 1982: what was not told is missing information).
    """
    x, present = choices.features, choices.present
    utility = np.where(present, x @ weights, -np.inf)
    # chances[r, t, j]: that place j is chosen at turn t, when the places before t are gone
    left = np.triu(np.ones((x.shape[1],) * 2, dtype=bool))
    of_turn = np.where(left & present[:, None, :], utility[:, None, :], -np.inf)
    top = np.where(present, of_turn.max(-1), 0.0)[..., None]
    odds = np.exp(of_turn - top)
    total = np.where(present, odds.sum(-1), 1.0)
    chances = odds / total[..., None]
    log_order = np.where(present, utility - top[..., 0] - np.log(total), 0.0).sum(-1)
    mean = chances @ x
    gradients = np.where(present[..., None], x - mean, 0.0).sum(1)

    starts = np.unique(choices.item, return_index=True)[1]
    best = np.maximum.reduceat(log_order, starts)
    summed = np.add.reduceat(np.exp(log_order - best[choices.item]), starts)
    log_item = best + np.log(summed)
    share = np.exp(log_order - log_item[choices.item])
    per_item = np.add.reduceat(share[:, None] * gradients, starts)

    counted = chances.sum(1) * share[:, None]
    flat, flat_mean = x.reshape(-1, x.shape[-1]), mean.reshape(-1, x.shape[-1])
    turns = np.where(present, share[:, None], 0.0).reshape(-1, 1)
    information = (flat * counted.reshape(-1, 1)).T @ flat - (flat_mean * turns).T @ flat_mean
    information -= (gradients * share[:, None]).T @ gradients - per_item.T @ per_item
    return float(log_item.sum()), per_item.sum(0), information


def newton(choices: Choices, ridge: float) -> tuple[np.ndarray, np.ndarray, float]:
    """The best weights (features,), the information there, and how far the last step would go.

    The ridge's share is included in the information. The step is the longest of any weight.

    Steps are halved until they gain. With ties the information may have a negative direction away
    from the best weights; there, steps follow it turned round.
    """
    weights = np.zeros(choices.features.shape[-1])
    eye = np.eye(len(weights))
    value, gradient, information = _penalised(choices, weights, ridge, eye)
    for _ in range(MAXIMUM_STEPS):
        roots, directions = np.linalg.eigh(information)
        step = directions @ ((directions.T @ gradient) / np.maximum(np.abs(roots), NO_INFORMATION))
        longest = float(np.abs(step).max())
        if gradient @ step < TOLERANCE:
            break
        for _ in range(40):
            tried = _penalised(choices, weights + step, ridge, eye)
            if tried[0] > value:
                break
            step = step / 2
        else:
            break  # nothing gains any more: the best that these numbers can tell
        weights = weights + step
        value, gradient, information = tried
    return weights, information, longest


def _penalised(choices: Choices, weights: np.ndarray, ridge: float, eye: np.ndarray):
    value, gradient, information = derivatives(choices, weights)
    penalty = ridge * weights
    return value - weights @ penalty / 2, gradient - penalty, information + ridge * eye


def _checked(ranking: Ranking, table: np.ndarray, names: Sequence[str]) -> np.ndarray:
    table = np.asarray(table, dtype=float)
    if table.shape != (len(ranking.replies), len(names)) or not np.isfinite(table).all():
        raise ProfileError(
            f"features of ranking {ranking.id!r}: expected finite numbers of shape "
            f"({len(ranking.replies)}, {len(names)}), found shape {table.shape}"
        )
    return table


def _weight(name: str, estimate: float, error: float) -> Weight:
    reach = NORMAL_95 * error
    return Weight(
        name, float(estimate), float(error), float(estimate - reach), float(estimate + reach)
    )
