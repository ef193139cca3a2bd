"""Over-optimisation: how the true score moves while a learnt score is climbed.

The reward model is the proxy, the gold judge the truth. Distance is d = sqrt(KL) between the
optimised policy and the one it started from, KL in nats a reply. Gao, Schulman and Hilton (2022,
arXiv 2210.10760) found that the gold score gained is
    d (alpha - beta log d)   for reinforcement learning,
    d (alpha - beta d)       for best-of-n.
Both are linear in alpha and beta, so a fit is one linear least-squares problem.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Fit:
    """A fitted curve: how fast the gold score first rises (alpha), what it then loses (beta).

    Both are in units of the gold score a unit of d. `residual` is the root of the mean squared
    error of the fit, in units of the gold score.
    """

    alpha: float
    beta: float
    residual: float


def reinforcement_learning_gain(distance: torch.Tensor, alpha: float, beta: float) -> torch.Tensor:
    """d (alpha - beta log d) for d `(points,)`; 0 at d = 0, its limit (Gao et al. 2022)."""
    return alpha * distance - beta * torch.xlogy(distance, distance)


def best_of_n_gain(distance: torch.Tensor, alpha: float, beta: float) -> torch.Tensor:
    """d (alpha - beta d) for d `(points,)` (Gao et al. 2022)."""
    return alpha * distance - beta * distance**2


def fit_reinforcement_learning(distances: Sequence[float], gains: Sequence[float]) -> Fit:
    """Alpha and beta of `reinforcement_learning_gain` by least squares.

    Raises:
        ValueError: fewer than two different distances above 0, or not as many gains.
    """
    return _fit(distances, gains, reinforcement_learning_gain)


def fit_best_of_n(distances: Sequence[float], gains: Sequence[float]) -> Fit:
    """Alpha and beta of `best_of_n_gain` by least squares.

    Raises:
        ValueError: fewer than two different distances above 0, or not as many gains.
    """
    return _fit(distances, gains, best_of_n_gain)


def _fit(distances, gains, curve) -> Fit:
    if len(distances) != len(gains):
        raise ValueError(f"{len(distances)} distances but {len(gains)} gains: give one for each")
    x = torch.as_tensor(distances, dtype=torch.float64)
    y = torch.as_tensor(gains, dtype=torch.float64)
    if len(set(x[x > 0].tolist())) < 2:
        raise ValueError("two unknowns need at least two different distances above 0")
    columns = torch.stack([curve(x, 1.0, 0.0), curve(x, 0.0, 1.0)], dim=1)
    alpha, beta = torch.linalg.lstsq(columns, y[:, None]).solution[:, 0].tolist()
    residual = float((curve(x, alpha, beta) - y).square().mean().sqrt())
    return Fit(alpha, beta, residual)


def reinforcement_learning_peak(fit: Fit) -> float:
    """The d at which the gold score is highest: exp(alpha / beta - 1).

    There the derivative alpha - beta log d - beta is 0. Infinite if beta is not above 0: then the
    curve never turns.
    """
    return math.exp(min(700.0, fit.alpha / fit.beta - 1)) if fit.beta > 0 else math.inf


def best_of_n_kl(n: int) -> float:
    """KL in nats of best-of-n from the policy that it draws from: log n - (n - 1) / n.

    Exact where no two replies score the same, else a bound from above (Stiennon et al. 2020,
    arXiv 2009.01325, appendix G.3; Beirami et al. 2024, arXiv 2401.01879, on the bound).
    """
    return math.log(n) - (n - 1) / n


def best_of_n(proxy: torch.Tensor, values: torch.Tensor, n: int) -> torch.Tensor:
    """Expected value of the reply that is best by the proxy among n, for each prompt.

    `proxy` and `values` are `(prompts, replies)`; the result is `(prompts,)`. Of N replies sorted
    by the proxy, the one in place i (from 1) is the best of n drawn without return with
    probability C(i - 1, n - 1) / C(N, n). The estimate is unbiased and uses all replies (Nakano et
    al. 2021, arXiv 2112.09332, appendix I). Replies of equal score are taken in the order given.

    Raises:
        ValueError: n is not between 1 and N, or the shapes differ.
    """
    if proxy.shape != values.shape:
        raise ValueError(f"proxy {tuple(proxy.shape)} but values {tuple(values.shape)}")
    replies = proxy.shape[1]
    if not 1 <= n <= replies:
        raise ValueError(f"n is {n}: it must be between 1 and the {replies} replies of a prompt")
    order = proxy.argsort(dim=1, stable=True)
    weights = torch.tensor(
        [math.comb(place, n - 1) / math.comb(replies, n) for place in range(replies)],
        dtype=torch.float64,
    )
    return (values.double().gather(1, order) * weights).sum(1)
