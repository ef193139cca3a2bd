"""Agreement, against values worked out by hand, published ones, and scipy where it is there."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlhf_tutorial.agreement import (
    agreement_table,
    alpha_of_rankings,
    kendall_tau,
    krippendorff_alpha,
    pairwise_agreement,
    self_agreement,
    tau_b,
)
from rlhf_tutorial.preferences import Ranking


def ranking(*tiers, annotator="ann", prompt="p", name=None, replies=None, **more) -> Ranking:
    count = sum(len(tier) for tier in tiers)
    return Ranking(
        id=name or f"{annotator}-{prompt}",
        prompt=prompt,
        replies=replies or [f"reply {i}" for i in range(count)],
        tiers=[list(tier) for tier in tiers],
        annotator=annotator,
        **more,
    )


def test_tau_by_hand():
    assert tau_b([1, 2, 3, 4], [1, 2, 3, 4]) == 1
    assert tau_b([1, 2, 3, 4], [4, 3, 2, 1]) == -1
    assert tau_b([1, 2, 3], [1, 3, 2]) == pytest.approx(1 / 3)  # 2 pairs alike, 1 not
    # Pairs: (0,1) tied in the first; (0,2) and (1,2) alike. tau = 2 / sqrt(2 * 3).
    assert tau_b([1, 1, 2], [1, 2, 3]) == pytest.approx(2 / math.sqrt(6))


def test_tau_without_any_order_is_not_a_number():
    assert math.isnan(tau_b([1, 1, 1], [1, 2, 3]))
    assert math.isnan(tau_b([], []))
    with pytest.raises(ValueError, match="one length"):
        tau_b([1, 2], [1, 2, 3])


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=8))
def test_tau_equals_scipy(values):
    stats = pytest.importorskip("scipy.stats")
    first, second = zip(*values, strict=True)
    expected = stats.kendalltau(first, second, variant="b").statistic
    found = tau_b(first, second)
    assert (math.isnan(found) and math.isnan(expected)) or found == pytest.approx(expected)


def test_tau_and_pairwise_agreement_of_rankings():
    first, second = ranking([0], [1], [2]), ranking([0], [2], [1])
    assert kendall_tau(first, second) == pytest.approx(1 / 3)
    assert pairwise_agreement(first, second) == pytest.approx(2 / 3)
    # A tie of either side is no choice, so only (0, 1) and (0, 2) are compared.
    assert pairwise_agreement(first, ranking([0], [1, 2])) == 1
    assert math.isnan(pairwise_agreement(first, ranking([0, 1, 2])))


def test_identical_replies_are_not_compared():
    replies = ["same", "same", "other"]
    first = ranking([0], [1], [2], replies=replies)
    second = ranking([1], [0], [2], replies=replies)
    assert pairwise_agreement(first, second) == 1


def test_skipped_items_give_no_agreement():
    skipped = Ranking(id="s", prompt="p", replies=["reply 0", "reply 1"], skip="unclear")
    assert math.isnan(kendall_tau(ranking([0], [1]), skipped))
    assert math.isnan(pairwise_agreement(ranking([0], [1]), skipped))


def test_rankings_of_different_items_are_refused():
    with pytest.raises(ValueError, match="not of the same prompt"):
        kendall_tau(ranking([0], [1]), ranking([0], [1], prompt="other"))


# Krippendorff (2011), "Computing Krippendorff's alpha-reliability", section C to E: four observers,
# twelve units, missing values. Published: nominal 0.743, ordinal 0.815, interval 0.849.
OBSERVERS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
    [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
]


@pytest.mark.parametrize(
    ("level", "published"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)]
)
def test_alpha_of_the_published_example(level, published):
    units = list(zip(*OBSERVERS, strict=True))
    assert krippendorff_alpha(units, level) == pytest.approx(published, abs=5e-4)


def test_alpha_of_the_published_binary_example():
    # The same paper, section A: two observers, ten units, 0 and 1. Published: 0.095.
    first = [0, 1, 0, 0, 0, 0, 0, 0, 1, 0]
    second = [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]
    alpha = krippendorff_alpha(zip(first, second, strict=True), "nominal")
    assert alpha == pytest.approx(0.095, abs=5e-4)


def test_alpha_at_its_limits():
    assert krippendorff_alpha([[1, 1], [2, 2], [3, 3]]) == 1
    # By hand: o = 4 units of (1, 2), n = 8, D_o = 1, D_e = 2 * 4 * 4 / (8 * 7) = 4/7.
    assert krippendorff_alpha([[1, 2]] * 4, "nominal") == pytest.approx(1 - 7 / 4)
    assert math.isnan(krippendorff_alpha([[1, 1], [1, 1]]))  # nobody ever used another value
    assert math.isnan(krippendorff_alpha([[1, None], [None, 2]]))
    with pytest.raises(ValueError, match="nominal, ordinal or interval"):
        krippendorff_alpha([[1, 2]], "ratio")


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 4) | st.none(), min_size=3, max_size=3), max_size=12))
def test_ordinal_alpha_sees_only_the_order_of_values(units):
    squared = [[None if v is None else v**2 for v in unit] for unit in units]
    before, after = krippendorff_alpha(units), krippendorff_alpha(squared)
    assert before == pytest.approx(after, nan_ok=True)
    assert math.isnan(before) or before <= 1 + 1e-12


def test_alpha_of_rankings_reaches_one_and_falls_below_zero():
    alike = [ranking([1], [0], [2], annotator=name, prompt=p) for name in "ab" for p in "pq"]
    assert alpha_of_rankings(alike) == 1
    opposite = [ranking([0], [1], annotator="a"), ranking([1], [0], annotator="b")]
    # By hand: two units (0, 1) and (1, 0): D_o = d, D_e = 2 * 2 * 2 d / (4 * 3) = 2/3 d.
    assert alpha_of_rankings(opposite) == pytest.approx(1 - 3 / 2)
    pairs_of = [r for p in "pqr" for r in (ranking([0], [1], annotator="a", prompt=p),)]
    pairs_of += [ranking([1], [0], annotator="a", prompt="s")]
    pairs_of += [ranking(*r.tiers, annotator="b", prompt=r.prompt) for r in pairs_of]
    assert alpha_of_rankings(pairs_of, over="pairs") == 1
    with pytest.raises(ValueError, match="ranks or pairs"):
        alpha_of_rankings(pairs_of, over="items")


def test_tied_replies_share_the_mean_of_their_places():
    # Ann ties 0 and 1 (places 0.5, 0.5, 2), Bob does not (0, 1, 2): values by unit are
    # (0.5, 0), (0.5, 1), (2, 2). Counts: 0:1, 0.5:2, 1:1, 2:2; middles 0.5, 2, 3.5, 5.
    both = [ranking([0, 1], [2], annotator="ann"), ranking([0], [1], [2], annotator="bob")]
    observed = 2 * (1.5**2 + 1.5**2)
    expected = 2 * (2 * 1.5**2 + 3**2 + 2 * 4.5**2 + 2 * 1.5**2 + 4 * 3**2 + 2 * 1.5**2)
    assert alpha_of_rankings(both) == pytest.approx(1 - 5 * observed / expected)


def test_tables_of_people_and_of_repeats():
    people = [
        ranking([0], [1], [2], annotator="ann"),
        ranking([0], [2], [1], annotator="bob"),
        ranking([0], [1], annotator="ann", prompt="q"),
        ranking([0], [1], annotator="bob", prompt="q"),
        ranking([1], [0], annotator="ann", prompt="q", name="again", repeat_of="ann-q"),
    ]
    table = agreement_table(people)
    assert list(table) == [("ann", "bob")]
    row = table["ann", "bob"]
    assert row["items"] == 2 and row["pairs"] == 4
    assert row["tau"] == pytest.approx((1 / 3 + 1) / 2)
    assert row["pairwise"] == pytest.approx(3 / 4)
    told = {"ann": {"items": 1, "tau": -1, "pairwise": 0, "pairs": 1}}
    assert self_agreement(people) == told
    stray = ranking([0], [1], annotator="ann", prompt="other", name="stray", repeat_of="ann-q")
    assert self_agreement([*people, stray]) == told  # two different items are no repeat
