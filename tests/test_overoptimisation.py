"""Over-optimisation: fits give back what made the points, best-of-n agrees with drawing."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from rlhf_tutorial import overoptimisation as over

DISTANCES = [0.3, 0.7, 1.0, 1.8, 2.6, 4.0, 6.0]


@pytest.mark.parametrize(
    ("curve", "fit"),
    [
        (over.reinforcement_learning_gain, over.fit_reinforcement_learning),
        (over.best_of_n_gain, over.fit_best_of_n),
    ],
)
def test_a_fit_gives_back_the_curve_that_made_the_points(curve, fit):
    gains = curve(torch.tensor(DISTANCES, dtype=torch.float64), 0.4, 0.15)
    found = fit(DISTANCES, gains.tolist())
    assert (found.alpha, found.beta) == pytest.approx((0.4, 0.15))
    assert found.residual == pytest.approx(0, abs=1e-9)


def test_a_fit_is_the_least_squares_one_for_noisy_points():
    generator = torch.Generator().manual_seed(3)
    x = torch.tensor(DISTANCES, dtype=torch.float64)
    y = over.best_of_n_gain(x, 0.4, 0.05)
    y = y + 0.05 * torch.randn(len(x), generator=generator, dtype=torch.float64)
    found = over.fit_best_of_n(DISTANCES, y.tolist())
    error = (over.best_of_n_gain(x, found.alpha, found.beta) - y).square().sum()
    assert found.residual == pytest.approx(float((error / len(x)).sqrt()))
    for alpha, beta in itertools.product((-0.01, 0.01), repeat=2):
        moved = over.best_of_n_gain(x, found.alpha + alpha, found.beta + beta)
        assert (moved - y).square().sum() > error


@pytest.mark.parametrize("distances", [[0.0, 1.0], [2.0, 2.0], [1.0]])
def test_a_fit_wants_two_distances_above_zero(distances):
    with pytest.raises(ValueError, match="at least two different distances"):
        over.fit_reinforcement_learning(distances, [0.1] * len(distances))


def test_a_fit_wants_a_gain_for_each_distance():
    with pytest.raises(ValueError, match="2 distances but 1 gains"):
        over.fit_best_of_n([1.0, 2.0], [0.1])


def test_nothing_is_gained_at_no_distance():
    zero = torch.zeros(1)
    assert over.reinforcement_learning_gain(zero, 0.4, 0.1).item() == 0.0
    assert over.best_of_n_gain(zero, 0.4, 0.1).item() == 0.0


def test_the_peak_is_higher_than_its_neighbours():
    curve, peak = over.reinforcement_learning_gain, over.reinforcement_learning_peak
    top = peak(over.Fit(0.4, 0.15, 0.0))
    low, middle, high = curve(torch.tensor([0.95, 1.0, 1.05]) * top, 0.4, 0.15).tolist()
    assert middle > low and middle > high
    assert peak(over.Fit(0.4, 0.0, 0.0)) == peak(over.Fit(0.4, -0.1, 0.0)) == math.inf


def test_best_of_n_is_what_all_draws_of_n_give_on_average():
    generator = torch.Generator().manual_seed(1)
    proxy, values = torch.randn(2, 3, 6, generator=generator)
    for n in (1, 2, 4, 6):
        for row in range(3):
            draws = [
                values[row, max(draw, key=lambda index, row=row: proxy[row, index])].item()
                for draw in itertools.combinations(range(6), n)
            ]
            found = over.best_of_n(proxy, values, n)[row].item()
            assert found == pytest.approx(sum(draws) / len(draws))


def test_best_of_one_is_the_mean_and_best_of_all_the_top():
    proxy = torch.tensor([[0.1, 0.9, 0.5]])
    values = torch.tensor([[3.0, 6.0, 9.0]])
    assert over.best_of_n(proxy, values, 1).item() == pytest.approx(6.0)
    assert over.best_of_n(proxy, values, 3).item() == pytest.approx(6.0)
    assert over.best_of_n(proxy, proxy, 3).item() == pytest.approx(0.9)


def test_best_of_n_refuses_what_it_cannot_draw():
    scores = torch.zeros(2, 4)
    for n in (0, 5):
        with pytest.raises(ValueError, match="between 1 and the 4 replies"):
            over.best_of_n(scores, scores, n)
    with pytest.raises(ValueError, match="proxy"):
        over.best_of_n(scores, scores[:, :2], 1)


def test_the_kl_of_best_of_n_agrees_with_the_distribution_itself():
    # Among m equally likely replies, the best of n has place i with probability
    # (i/m)^n - ((i-1)/m)^n; for large m its KL from 1/m tends to log n - (n-1)/n.
    m = 20_000
    places = torch.arange(m + 1, dtype=torch.float64) / m
    for n in (1, 2, 8, 64):
        chances = (places**n).diff()
        exact = torch.xlogy(chances, chances * m).sum().item()
        assert over.best_of_n_kl(n) == pytest.approx(exact, abs=1e-3)
