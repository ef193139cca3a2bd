"""How cost grows: slopes, what is measured once, and the arithmetic on paper."""

from __future__ import annotations

import json
import re
import subprocess

import pytest

from benchmarks import growth, growth_paper
from rlhf_tutorial import plotting_growth


def row(size: str, batch: int, length: int, weights: float, **measured) -> dict:
    point = {"size": size, "batch": batch, "length": length}
    return {"key": growth.key(point), **point, "weights": weights, **measured}


@pytest.mark.parametrize("power", [-1.0, 0.0, 0.5, 2.0])
def test_the_slope_is_the_exponent(power):
    xs = [1.0, 2.0, 5.0, 10.0]
    assert growth.slope(xs, [3 * x**power for x in xs]) == pytest.approx(power)


@pytest.mark.parametrize("xs, ys", [([1, 1], [2, 3]), ([1, 2], [0, 1]), ([0, 2], [1, 1])])
def test_a_slope_needs_two_points_above_0(xs, ys):
    with pytest.raises(ValueError, match="two different points"):
        growth.slope(xs, ys)


def test_each_point_is_measured_once_and_changes_one_thing():
    points = growth.points()
    assert len({growth.key(point) for point in points}) == len(points)
    for point in points:
        assert sum(point[name] != growth.USUAL[name] for name in growth.USUAL) <= 1
    for name, values in growth.VARIED.items():
        assert {point[name] for point in points} >= set(values)


def test_curves_hold_what_was_varied_and_leave_out_what_was_not_measured():
    rows = [
        row("10m", 128, 32, 11e6, ppo=10.0),
        row("2m", 128, 32, 2e6, ppo=50.0, pretraining=900.0),
        row("2m", 8, 32, 2e6, ppo=20.0),
    ]
    found = growth.curves(rows)
    assert found["size"]["ppo"] == ([2.0, 11.0], [50.0, 10.0])
    assert found["batch"]["ppo"] == ([8, 128], [20.0, 50.0])
    assert found["size"]["pretraining"] == ([2.0], [900.0])
    table = growth.table(found)
    assert "11.0" in table and "–" in table and f"{growth.slope([8, 128], [20, 50]):.2f}" in table


def test_a_point_that_fails_says_why(monkeypatch):
    ended = subprocess.CompletedProcess([], 1, stdout="", stderr="no such size")
    monkeypatch.setattr(growth.subprocess, "run", lambda *args, **kwargs: ended)
    with pytest.raises(RuntimeError, match="no such size"):
        growth.measure(growth.USUAL)


def test_a_figure_needs_a_curve():
    with pytest.raises(ValueError, match="no curve"):
        plotting_growth.growth([], columns=3)
    panels = [("size", "speed", [1, 2], [4, 2], -1.0), ("batch", "memory", [1, 2], [1, 4], 2.0)]
    figure = plotting_growth.growth(panels, columns=2)
    drawn = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_xlabel() for axes in drawn] == ["size", "batch"]
    assert drawn[0].get_legend().get_texts()[0].get_text() == "slope -1.00"


@pytest.mark.medium
def test_one_point_is_measured():
    point = {"size": "1m", "batch": 8, "length": 8}
    said = growth.measure(point)
    assert said["weights"] == pytest.approx(1.08e6, rel=0.1) and "pretraining" not in said
    assert min(said["ppo"], said["sampling"], said["ppo_mb"]) > 0
    assert json.loads(said["key"]) == point


# ---- on paper ----


def test_twice_the_weights_take_twice_the_time_and_four_times_for_pretraining():
    small = growth_paper.Setup("small", 1e9, 24, 2048, 8)
    large = growth_paper.Setup("large", 2e9, 24, 2048, 8)
    ratios = {
        stage: hours / growth_paper.hours(small)[stage]
        for stage, hours in growth_paper.hours(large).items()
    }
    assert ratios.pop("pretraining") == pytest.approx(4)
    assert 1 < ratios.pop("PPO: sampling") < 2  # the KV cache did not grow
    assert list(ratios.values()) == pytest.approx([2, 2, 2, 2])


def test_small_batches_wait_for_memory_and_large_ones_for_arithmetic():
    setup = growth_paper.Setup("no cache", 1e9, 0, 2048, 1)
    assert growth_paper.sampling_seconds(setup, 1) == growth_paper.sampling_seconds(setup, 100)
    most = growth_paper.sampling_seconds(setup, 10_000)
    assert growth_paper.sampling_seconds(setup, 20_000) == pytest.approx(2 * most)
    reads = growth_paper.REPLY * 2e9 / (growth_paper.BANDWIDTH * growth_paper.READING_SHARE)
    assert growth_paper.sampling_seconds(setup, 1) == pytest.approx(reads)


def test_memory_counts_16_bytes_where_something_is_trained():
    held = growth_paper.gigabytes(growth_paper.Setup("one", 1e9, 10, 1000, 1))
    assert held["policy and its optimizer"] == 16 and held["reference model"] == 2
    assert held["copies of the policy to sample with"] == 0


def test_the_sum_on_paper_is_the_sum_of_its_parts():
    last = [line for line in growth_paper.tables().splitlines() if line.startswith("| all, hours")]
    totals = [float(cell) for cell in last[0].split("|")[2:4]]
    parts = [sum(growth_paper.hours(setup).values()) for setup in growth_paper.SETUPS]
    assert totals == pytest.approx(parts, rel=0.01)


@pytest.mark.parametrize("setup", growth_paper.SETUPS, ids=lambda setup: setup.name)
def test_the_arithmetic_that_is_shown_gives_the_hours_that_are_shown(setup):
    for line in growth_paper.arithmetic(setup).splitlines():
        left, hours = line.rsplit(": ", 1)[1].rsplit(" = ", 1)
        terms = re.sub(r"[A-Za-z]{2,}|\ba\b|,", "", left).replace("·", "*")
        assert re.fullmatch(r"[\d\s.e+*/()]+", terms), terms
        assert eval(terms) / 3600 == pytest.approx(float(hours.split()[0]), rel=0.03)  # rounded
