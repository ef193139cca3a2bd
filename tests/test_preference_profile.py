"""Weights behind somebody's orders: recovered on simulated people whose weights are known."""

from __future__ import annotations

import functools
import itertools
import math
import random
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from rlhf_tutorial import course_profile, plotting_profile
from rlhf_tutorial import preference_profile as model
from rlhf_tutorial.course_profile_words import chance, percent, sentences
from rlhf_tutorial.preferences import Ranking, load_rankings, pairs
from rlhf_tutorial.village import annotators
from rlhf_tutorial.village.gold import AXES, WEIGHTS, judge

SAMPLE = Path(__file__).resolve().parent.parent / "data" / "rankings_sample.jsonl"
NAMES = (*AXES, *course_profile.PULLS)
PEOPLE, ITEMS = 120, 50


@pytest.fixture(scope="module", autouse=True)
def judged_once():
    """120 people look at the same 1,200 replies: the judge need not read them 120 times."""
    remembered = functools.lru_cache(maxsize=None)(judge)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(annotators, "judge", remembered)
        patch.setattr(course_profile, "judge", remembered)
        yield


@functools.cache
def items() -> list[tuple[str, list[str]]]:
    return [(ranking.prompt, ranking.replies) for ranking in load_rankings(SAMPLE)]


@dataclass(frozen=True)
class Linear(annotators.Annotator):
    """Somebody who is just as the fitted model says: a weighted sum of the judge's parts.

    Noise, position and length enter as in every simulated person.
    """

    def utility(self, prompt: str, reply: str) -> float:
        parts = course_profile.axis_parts(prompt, reply)
        return sum(self.axis_weights[a] * part for a, part in zip(AXES, parts, strict=True))


def person(kind: type, number: int, *, fatigue: float = 0.0, seed: int = 0) -> annotators.Annotator:
    rng = random.Random(f"{seed}/{number}")
    return kind(
        name=f"person-{number}",
        axis_weights={axis: w * rng.uniform(0.2, 2.0) for axis, w in WEIGHTS.items()},
        temperature=rng.uniform(0.05, 0.11),
        position_bias=rng.uniform(-0.02, 0.04),
        length_bias=rng.uniform(-0.04, 0.06),
        fatigue=fatigue,
    )


def rankings_of(someone: annotators.Annotator, count: int = ITEMS, seed: str = "") -> list[Ranking]:
    chosen = random.Random(f"{seed}{someone.name}").sample(items(), count)
    return [
        someone.rank(prompt, replies, seed=f"{seed}coverage", item=number)
        for number, (prompt, replies) in enumerate(chosen)
    ]


def truth(someone: annotators.Annotator) -> list[float]:
    """Known weights in units of the person's own noise, in the order of NAMES."""
    weights = [someone.axis_weights[axis] for axis in AXES]
    weights += [someone.position_bias, someone.length_bias]
    return [weight / someone.temperature for weight in weights]


def coverage(kind: type, **changes) -> tuple[float, dict[str, float], int]:
    """(share of intervals that hold the truth, the same for each weight, people with a ridge)."""
    held: dict[str, list[bool]] = {name: [] for name in NAMES}
    ridges = 0
    for number in range(PEOPLE):
        someone = person(kind, number, **changes)
        found = model.fit(rankings_of(someone), course_profile.features, NAMES)
        ridges += found.ridge > 0
        for name, true in zip(NAMES, truth(someone), strict=True):
            weight = found.weights[name]
            if not math.isnan(weight.estimate):
                held[name].append(weight.low <= true <= weight.high)
    everything = [hit for hits in held.values() for hit in hits]
    return np.mean(everything), {name: np.mean(hits) for name, hits in held.items()}, ridges


def test_intervals_hold_the_known_weights_of_simulated_people():
    share, each, ridges = coverage(Linear)
    assert 0.92 <= share <= 0.985, (share, each)  # 95 % promised; nor may they be far too wide
    assert min(each.values()) >= 0.86, each
    assert 0 < ridges < PEOPLE  # both ways of fitting were tested


def test_tired_people_are_covered_less_well_but_not_by_much():
    share, each, _ = coverage(Linear, fatigue=0.3)
    assert share >= 0.90, (share, each)


def test_biases_that_are_not_there_are_seldom_found():
    found = []
    for number in range(60):
        someone = replace(person(Linear, number, seed=5), position_bias=0.0, length_bias=0.0)
        fitted = model.fit(rankings_of(someone), course_profile.features, NAMES)
        found += [fitted.weights[name].is_clear for name in course_profile.PULLS]
    assert np.mean(found) <= 0.10, np.mean(found)


def test_a_weight_that_is_left_out_would_be_missed():
    """The test of coverage can fail: with the wrong truth it does."""
    someone = person(Linear, 0)
    found = model.fit(rankings_of(someone, 200), course_profile.features, NAMES)
    wrong = [-t for t in truth(someone)]
    held = [found.weights[n].low <= t <= found.weights[n].high for n, t in zip(NAMES, wrong,
            strict=True)]  # fmt: skip
    assert np.mean(held) < 0.6


def drawn(count: int, weights: np.ndarray, seed: int, tied: float = 0.0):
    """Rankings of 2 to 5 replies with known features, drawn by Gumbel noise, some of them tied."""
    rng = np.random.default_rng(seed)
    told, tables = [], []
    for number in range(count):
        size = int(rng.integers(2, 6))
        table = rng.normal(size=(size, len(weights)))
        order = np.argsort(-(table @ weights + rng.gumbel(size=size)))
        tiers = [[int(order[0])]]
        for index in order[1:]:
            if rng.random() < tied:
                tiers[-1].append(int(index))
            else:
                tiers.append([int(index)])
        replies = [f"reply {index}" for index in range(size)]
        told.append(Ranking(id=f"{number}", prompt="x", replies=replies, tiers=tiers).validate())
        tables.append(table)
    return told, tables


@pytest.mark.parametrize("tied", [0.0, 0.3])
def test_derivatives_are_those_of_the_log_likelihood(tied):
    told, tables = drawn(12, np.array([1.0, -0.5, 0.2]), 3, tied)
    choices = model.arrange([(r.tiers, t) for r, t in zip(told, tables, strict=True)])
    weights = np.array([0.3, 0.7, -0.4])
    value, gradient, information = model.derivatives(choices, weights)
    by_hand = 0.0
    for ranking, table in zip(told, tables, strict=True):
        likelihood = 0.0
        for order in model.orders(ranking.tiers):
            odds = np.exp(table[order] @ weights)
            likelihood += np.prod([odds[t] / odds[t:].sum() for t in range(len(odds))])
        by_hand += np.log(likelihood)
    assert value == pytest.approx(by_hand, abs=1e-9)
    step = 1e-5
    for index in range(3):
        shift = np.zeros(3)
        shift[index] = step
        up, up_gradient, _ = model.derivatives(choices, weights + shift)
        down, down_gradient, _ = model.derivatives(choices, weights - shift)
        assert gradient[index] == pytest.approx((up - down) / (2 * step), abs=1e-6)
        np.testing.assert_allclose(
            -information[index], (up_gradient - down_gradient) / (2 * step), atol=1e-6
        )


def test_ties_are_every_order_that_agrees_with_them():
    assert sorted(model.orders([[2], [0, 1]])) == [[2, 0, 1], [2, 1, 0]]
    assert len(model.orders([[0, 1, 2, 3, 4]])) == math.factorial(5)
    true = np.array([1.0, -0.5])
    held, estimates = [], []
    for seed in range(200):
        found = model.fit(*drawn(60, true, seed, tied=0.3), ["a", "b"])
        both = list(zip(found.weights.values(), true, strict=True))
        held += [weight.low <= value <= weight.high for weight, value in both]
        estimates.append([weight.estimate for weight, _ in both])
    assert 0.92 <= np.mean(held) <= 0.98, np.mean(held)
    np.testing.assert_allclose(np.mean(estimates, axis=0), true, rtol=0.07)
    strict = model.fit(*drawn(60, true, seed), ["a", "b"])  # of the same orders, none tied
    assert found.weights["a"].standard_error > strict.weights["a"].standard_error


def test_the_order_of_replies_and_of_rankings_does_not_matter():
    told, tables = drawn(30, np.array([1.0, -0.5]), 5)
    turned, turned_tables = [], []
    for ranking, table in zip(told, tables, strict=True):
        last = len(ranking.replies) - 1
        turned.append(replace(ranking, tiers=[[last - i for i in t] for t in ranking.tiers]))
        turned_tables.append(table[::-1])
    one = model.fit(told, tables, ["a", "b"])
    other = model.fit(turned[::-1], turned_tables[::-1], ["a", "b"])
    assert other.weights["a"].estimate == pytest.approx(one.weights["a"].estimate, rel=1e-6)
    assert other.log_likelihood == pytest.approx(one.log_likelihood)


def separable(told, tables) -> bool:
    """Whether some weights order every pair as told, by linear programming (the definition)."""
    from scipy.optimize import linprog

    gaps = [t[w] - t[x] for r, t in zip(told, tables, strict=True) for w, x in pairs(r)]
    gaps = np.array(gaps)
    best = linprog(-gaps.sum(0), A_ub=-gaps, b_ub=np.zeros(len(gaps)), bounds=[(-1, 1)])
    return -best.fun > 1e-7


def test_a_ridge_is_added_when_the_weights_have_no_end_and_never_else():
    seen = set()
    for seed in range(60):
        told, tables = drawn(6, np.array([2.0, -1.0, 0.5]), seed)
        found = model.fit(told, tables, ["a", "b", "c"])
        seen.add(separable(told, tables))
        assert (found.ridge > 0) == separable(told, tables), seed
        assert all(math.isfinite(w.standard_error) for w in found.weights.values())
    assert seen == {True, False}


def test_features_that_move_together_are_unclear_and_get_no_ridge():
    """They leave as little information as weights without end do, but that would be untrue."""
    names = ["correctness", "tone", "position", "length"]
    seen = set()
    for seed in range(40):
        told, tables = drawn(6, np.array([2.0, -1.0, 0.5]), seed)
        twins = [np.insert(table, 1, 3 * table[:, 0], axis=1) for table in tables]
        found = model.fit(told, twins, names)
        seen.add(separable(told, tables))
        assert (found.ridge > 0) == separable(told, tables), seed
        if found.ridge:
            continue
        alone = model.fit(told, tables, ["correctness", "position", "length"])
        for name in ("position", "length"):  # what the twins do is nothing to the others
            assert found.weights[name].estimate == pytest.approx(alone.weights[name].estimate)
            assert found.weights[name].low == pytest.approx(alone.weights[name].low, rel=1e-4)
        assert found.log_likelihood == pytest.approx(alone.log_likelihood)
        assert not found.weights["correctness"].is_clear and not found.weights["tone"].is_clear
        said = " ".join(sentences(found, None, [], []))
        assert "without end" not in said
        assert "About correctness and tone your rankings do not say" in said
    assert seen == {True, False}


def test_what_never_differs_is_called_untested():
    told, tables = drawn(30, np.array([1.0]), 6)
    wider = [np.hstack([table, np.full((len(table), 1), 7.0)]) for table in tables]
    found = model.fit(told, wider, ["a", "same"])
    assert found.untested == ["same"] and not found.weights["same"].is_clear
    alone = model.fit(told, tables, ["a"])
    assert found.weights["a"].estimate == pytest.approx(alone.weights["a"].estimate)
    assert found.chance == pytest.approx(
        -sum(math.log(math.factorial(len(ranking.replies))) for ranking in told)
    )


@pytest.mark.parametrize(
    ("told", "tables", "message"),
    [
        ([], [], "there is no ranking"),
        ([Ranking(id="a", prompt="x", replies=["a", "b"], skip="no")], [np.eye(2)], "no ranking"),
        ([Ranking(id="a", prompt="x", replies=["a", "b"], tiers=[[0, 1]])], [np.eye(2)], "above"),
        ([Ranking(id="a", prompt="x", replies=["a", "b"], tiers=[[0], [1]])], [], "0 arrays"),
        (
            [Ranking(id="a", prompt="x", replies=["a", "b"], tiers=[[0], [1]])],
            [np.ones((2, 2))],
            "no feature ever differs",
        ),
        (
            [Ranking(id="a", prompt="x", replies=["a", "b"], tiers=[[0], [1]])],
            [np.full((2, 2), np.nan)],
            "finite numbers of shape",
        ),
        (
            [Ranking(id="a", prompt="x", replies=["a", "b"], tiers=[[0], [1]])],
            [np.eye(3)],
            r"shape \(2, 2\), found shape \(3, 3\)",
        ),
    ],
)
def test_what_cannot_be_fitted_is_told_in_one_line(told, tables, message):
    with pytest.raises(model.ProfileError, match=message):
        model.fit(told, tables, ["a", "b"])


# The village's side


def test_the_gold_reward_is_the_weighted_sum_of_the_parts():
    for prompt, replies in items()[:60]:
        for reply in replies:
            parts = course_profile.axis_parts(prompt, reply)
            total = sum(WEIGHTS[axis] * part for axis, part in zip(AXES, parts, strict=True))
            assert total == pytest.approx(judge(prompt, reply).gold, abs=1e-9)


def test_features_hold_place_and_length():
    ranking = Ranking(
        id="a",
        prompt="x",
        replies=["one", "a b c", "two words"],
        shown=[2, 0, 1],
        tiers=[[0, 1, 2]],
    )
    table = course_profile.features(ranking)
    assert table.shape == (3, len(NAMES))
    assert table[:, 6].tolist() == [0.5, 0.0, 1.0]
    assert table[:, 7].tolist() == pytest.approx([1 / 30, 3 / 30, 2 / 30])


def reader(**changes) -> list[Ranking]:
    """Fifty rankings and five of them once more, by somebody like the judge."""
    someone = annotators.Annotator(name="reader", **({"fatigue": 0.0} | changes))
    told = rankings_of(someone)
    again = [
        replace(someone.rank(r.prompt, r.replies, seed="again", item=n), repeat_of=r.id)
        for n, r in enumerate(told[:5])
    ]
    return told + again


def test_a_reader_is_told_what_their_rankings_say():
    found = course_profile.profile(reader(position_bias=0.16))
    assert found.oneself.items == 5 and len(found.colleagues) == 6
    assert found.weights.items == ITEMS and len(found.seconds) == ITEMS + 5
    said = " ".join(found.plain_words())
    assert "From 50 rankings" in said and "correctness" in said
    assert "The position pulls you" in said and "the one at the top" in said
    assert "over 5 items shown twice" in said and "Nearest to you is" in said
    judged = found.judge_weights()
    assert judged["correctness"] == pytest.approx(judged["helpfulness"])
    assert judged["correctness"] > judged["clarity"] > 0


def test_the_colleague_who_wants_the_same_is_nearest():
    same = annotators.Annotator(name="same", temperature=0.01)
    other = annotators.Annotator(name="other", taste_weights={"long": -50.0}, temperature=0.01)
    found = course_profile.profile(reader(temperature=0.02), people=[other, same])
    shares = {row.name: row.share for row in found.colleagues}
    assert shares["same"] > 0.8 > 0.6 > shares["other"]
    assert "Nearest to you is same" in " ".join(found.plain_words())


def test_what_is_not_known_is_said_and_not_guessed():
    few = [replace(ranking, seconds=0.0) for ranking in reader()[:8]]
    found = course_profile.profile(few, people=[])
    said = " ".join(found.plain_words())
    assert "You ranked no item twice" in said and "seconds" not in said
    assert found.colleagues == [] and "Nearest" not in said
    unbounded = "would fit still better, without end"
    assert (unbounded in said) == (found.weights.ridge > 0)
    assert found.weights.ridge > 0  # eight rankings can be ordered without a single mistake
    erring = course_profile.profile(reader(temperature=0.6), people=[])
    assert erring.weights.ridge == 0 and unbounded not in " ".join(erring.plain_words())


def test_rankings_of_several_people_are_refused():
    two = [*reader()[:3], replace(reader()[3], annotator="somebody else")]
    with pytest.raises(ValueError, match="rankings of 2 people"):
        course_profile.profile(two)


def test_a_talk_is_judged_by_what_the_user_said_last():
    told = reader()[:20]
    turns = [replace(r, prompt=[{"role": "user", "content": r.prompt}]) for r in told]
    plain, chat = course_profile.profile(told), course_profile.profile(turns)
    assert chat.weights == plain.weights
    assert [row.share for row in chat.colleagues] == [row.share for row in plain.colleagues]


def test_percentages_never_claim_certainty():
    assert [percent(s) for s in (0.0, 0.004, 0.5, 0.996, 1.0)] == [
        "0 %",
        "under 1 %",
        "50 %",
        "over 99 %",
        "100 %",
    ]
    assert chance(0) == 0.5 and chance(math.log(3)) == pytest.approx(0.75)
    assert chance(1e6) == 1.0 and chance(-1e6) == 0.0


def test_the_figure_shows_every_weight_and_everybody():
    found = course_profile.profile(reader())
    figure = plotting_profile.profile_figure(found)
    weights, agreement, seconds = figure.axes
    assert [text.get_text() for text in weights.get_yticklabels()][-2:] == [
        "top of the screen",
        "30 words more",
    ]
    assert len(agreement.get_yticklabels()) == 7
    assert all(axes.get_xlabel() and axes.get_title(loc="left") for axes in figure.axes)
    bare = replace(found, oneself=None, colleagues=[], seconds=[])
    bare_texts = [text.get_text() for text in plotting_profile.profile_figure(bare).axes[2].texts]
    assert bare_texts == ["not recorded"]
    untested = model.Weight("honesty", *itertools.repeat(math.nan, 4))
    without = replace(
        found, weights=replace(found.weights, weights=found.weights.weights | {"honesty": untested})
    )
    drawn_axes = plotting_profile.profile_figure(without).axes[0]
    assert [text.get_text() for text in drawn_axes.texts] == [" not tested"]
    assert "No item tested honesty" in " ".join(without.plain_words())
