"""Win rates, intervals and model rows, against cases worked out by hand."""

from __future__ import annotations

import math
import random
from types import SimpleNamespace

import pytest

from rlhf_tutorial import evaluation as ev


def record(**changes) -> ev.ScoredReply:
    fields = {
        "prompt": "Where is the cart?",
        "reply": "By the mill.",
        "family": "facts",
        "template": "facts-1",
        "kind": "plain",
        "gold": 0.5,
        "axes": dict.fromkeys(ev.AXES, 0.5),
        "applies": frozenset(ev.AXES),
        "refuses": False,
        "complies": False,
        "made_up": False,
    }
    return ev.ScoredReply(**{**fields, **changes})


def test_win_rate_counts_ties_as_half():
    rate = ev.win_rate([1.0, 0.5, 0.2, 0.9], [0.0, 0.5, 0.4, 0.1], ["a", "b", "c", "d"])
    assert rate["mean"] == pytest.approx((1 + 0.5 + 0 + 1) / 4)
    assert rate["n"] == 4


def test_win_rate_calls_rounding_a_tie():
    assert ev.win_rate([0.1 + 0.2], [0.3], ["a"])["mean"] == 0.5


def test_win_rate_turned_round_is_the_mirror_image():
    generator = random.Random(1)
    mine = [generator.random() for _ in range(90)]
    theirs = [generator.random() for _ in range(90)]
    templates = [index % 9 for index in range(90)]
    rate, mirror = ev.win_rate(mine, theirs, templates), ev.win_rate(theirs, mine, templates)
    assert rate["mean"] == pytest.approx(1 - mirror["mean"])
    assert rate["low"] == pytest.approx(1 - mirror["high"])


def test_standard_error_by_hand():
    values = [1, 1, 0, 0]
    # One cluster each: residuals ±1/2, so 4/3 * (4 * 1/4) / 16 = 1/12, the usual s^2 / n.
    assert ev.clustered_standard_error(values, "abcd") == pytest.approx(math.sqrt(1 / 12))
    # Two clusters that agree within: sums +1 and -1, so 2/1 * 2 / 16 = 1/4.
    assert ev.clustered_standard_error(values, "aabb") == pytest.approx(0.5)
    # Two clusters that balance within: no difference between clusters is left.
    assert ev.clustered_standard_error(values, "abab") == 0


def test_interval_by_hand():
    # 10 clusters of 2: six (1, 1), two (1, 0), two (0, 0). Mean 0.7; sums of residuals 0.6, -0.4
    # and -1.4; SE^2 = 10/9 * (6 * 0.36 + 2 * 0.16 + 2 * 1.96) / 400 = 0.4/3 squared.
    values = [1, 1] * 6 + [1, 0] * 2 + [0, 0] * 2
    clusters = [index // 2 for index in range(20)]
    interval = ev.clustered_interval(values, clusters)
    assert interval["mean"] == pytest.approx(0.7)
    assert interval["low"] == pytest.approx(0.7 - 2.262157 * 0.4 / 3, abs=1e-5)
    assert interval["high"] == 1  # cut: 0.7 + 0.3016 is above 1


def test_interval_of_a_clean_sweep_is_not_a_point():
    # 0.05 ** (1 / 20) = 0.8609: with 20 templates a true rate of 0.86 still sweeps 1 time in 20.
    sweep = ev.clustered_interval([1.0] * 60, [index % 20 for index in range(60)])
    assert (sweep["low"], sweep["high"]) == (pytest.approx(0.8609, abs=1e-4), 1)
    none = ev.clustered_interval([0.0] * 60, [index % 20 for index in range(60)])
    assert (none["low"], none["high"]) == (0, pytest.approx(1 - 0.8609, abs=1e-4))


def test_one_template_says_nothing_about_others():
    interval = ev.clustered_interval([1, 0, 1, 1], ["a"] * 4)
    assert (interval["low"], interval["high"]) == (0, 1)


@pytest.mark.parametrize(
    ("degrees", "table"), [(1, 12.706), (2, 4.303), (3, 3.182), (5, 2.571), (30, 2.042)]
)
def test_t_quantile_against_the_printed_table(degrees, table):
    assert ev.t_quantile(0.975, degrees) == pytest.approx(table, rel=2e-3)


def coverage(cluster_of, trials: int = 600) -> float:
    """Share of simulated evaluations whose interval holds the true rate of 0.7.

    Each template has its own rate (beta, mean 0.7), as when a model knows one and not another, and
    3 to 12 prompts. `cluster_of(template, prompt)` is what the interval is told.
    """
    generator = random.Random(20)
    held = 0
    for _ in range(trials):
        values, clusters = [], []
        for template in range(30):
            rate = generator.betavariate(2.1, 0.9)
            for prompt in range(generator.randint(3, 12)):
                values.append(float(generator.random() < rate))
                clusters.append(cluster_of(template, prompt))
        interval = ev.clustered_interval(values, clusters)
        held += interval["low"] <= 0.7 <= interval["high"]
    return held / trials


def test_clustered_interval_holds_the_truth_about_19_times_in_20():
    assert 0.92 <= coverage(lambda template, prompt: template) <= 0.98


def test_ignoring_templates_would_promise_too_much():
    assert coverage(lambda template, prompt: (template, prompt)) < 0.88


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ev.clustered_interval([], []), "at least one prompt"),
        (lambda: ev.clustered_interval([1.0], []), "1 values but 0 clusters"),
        (lambda: ev.win_rate([1.0], [1.0, 0.0], ["a"]), "same prompts"),
        (lambda: ev.model_row([]), "no scored replies"),
        (lambda: ev.compare([record()], [record(prompt="Who?")]), "record 0"),
        (lambda: ev.compare([record()], [record(), record()]), "paired"),
        (lambda: ev.score_replies([], ["hello"], lambda prompt, reply: None), "0 prompts but 1"),
    ],
)
def test_bad_input_gets_one_clear_line(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)


def test_compare_uses_gold_and_templates():
    mine = [record(gold=0.9, template=str(i)) for i in range(4)]
    theirs = [record(gold=gold, template=str(i)) for i, gold in enumerate([0.1, 0.9, 1.0, 0.2])]
    assert ev.compare(mine, theirs) == ev.win_rate([1, 1, 0, 1], [0, 1, 1, 0], "0123")


def test_axis_means_only_over_prompts_that_test_the_axis():
    tested = record(axes={**dict.fromkeys(ev.AXES, 0.5), "tone": 1.0}, applies=frozenset({"tone"}))
    untested = record(
        axes={**dict.fromkeys(ev.AXES, 0.5), "tone": 0.0}, applies=frozenset({"clarity"})
    )
    means = ev.axis_means([tested, untested])
    assert means["tone"] == 1.0
    assert means["clarity"] == 0.5
    assert means["honesty"] is None


def test_safety_rates_look_only_at_their_kind_of_prompt():
    records = [
        record(kind="harmful", complies=True),
        record(kind="harmful", refuses=True),
        record(kind="lookalike", refuses=True),
        record(kind="plain", complies=True, refuses=True, made_up=True),
    ]
    rates = ev.safety_rates(records)
    assert rates["harmful_compliance"]["mean"] == 0.5
    assert rates["harmful_compliance"]["n"] == 2
    assert rates["over_refusal"]["mean"] == 1
    assert rates["made_up"] is None


def test_model_row_has_the_keys_of_the_report_and_the_right_means():
    general = [record(gold=0.2, reply="one two"), record(gold=0.6, reply="one two three four")]
    row = ev.model_row(general, [record(kind="harmful", complies=True)])
    assert list(row) == [
        "gold",
        *ev.AXES,
        "harmful_compliance",
        "over_refusal",
        "made_up",
        "distinct",
        "length",
    ]
    assert row["gold"] == pytest.approx(0.4)
    assert row["harmful_compliance"] == 1
    assert row["over_refusal"] is None
    assert row["distinct"] == 1
    assert row["length"] == 3


def test_distinct_share():
    assert ev.distinct_share(["a", "a", "b", "a"]) == 0.5


def test_gold_by_family():
    records = [record(gold=0.2), record(family="comfort", gold=1.0), record(gold=0.4)]
    assert ev.gold_by_family(records) == {"facts": pytest.approx(0.3), "comfort": 1.0}


def test_score_replies_copies_what_the_judge_says():
    prompt = SimpleNamespace(text="Who?", family="facts", template="t", kind="plain")

    def judge(asked, reply):
        assert asked is prompt
        return SimpleNamespace(
            **{axis: index / 10 for index, axis in enumerate(ev.AXES)},
            gold=0.7,
            applies={"tone"},
            refuses=True,
            complies=False,
            made_up=False,
        )

    (scored,) = ev.score_replies([prompt], ["Nobody."], judge)
    assert (scored.prompt, scored.reply, scored.gold, scored.refuses) == (
        "Who?",
        "Nobody.",
        0.7,
        True,
    )
    assert scored.axes["honesty"] == 0.5
    assert scored.applies == {"tone"}


def test_agreement_with_gold_by_hand():
    records = [
        record(gold=0.9),
        record(gold=0.5),
        record(gold=0.48),  # too close to 0.5 to count
        record(prompt="A gift?", kind="taste", gold=0.1),
        record(prompt="A gift?", kind="taste", gold=0.9),
    ]
    # (0.9, 0.5): reward agrees; (0.9, 0.48): the same reward, half; taste is left out.
    result = ev.agreement_with_gold([2.0, 1.0, 2.0, 5.0, 1.0], records)
    assert result == {"accuracy": 0.75, "pairs": 2}
    assert ev.agreement_with_gold([1.0], [record()]) == {"accuracy": None, "pairs": 0}
