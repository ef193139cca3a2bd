"""The table of one person's taste: what is measured anew, and what stays."""

from benchmarks.taste import together, win_rate


def test_rows_of_other_seeds_stay_and_those_of_a_measured_seed_are_replaced():
    before = [["10", "old"], ["12", "old"], ["12", "old too"]]
    after = together(before, [["12", "new"], ["9", "new"]])
    assert after == [["9", "new"], ["10", "old"], ["12", "new"]]


def test_ties_count_a_half():
    assert win_rate([1.0, 0.5, 0.0, 0.2], [0.0, 0.5, 1.0, 0.1]) == 0.625
