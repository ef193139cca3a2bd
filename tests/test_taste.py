"""The table of one person's taste: what is measured anew, and what stays."""

from benchmarks.taste import PEOPLE, together, win_rate
from rlhf_tutorial.own_taste import FROM_PARTS, NAIVE


def test_rows_measured_anew_are_replaced_and_all_others_stay_in_order():
    kind, blunt = (person.name for person in PEOPLE[:2])
    before = [["10", kind, NAIVE, "old"], ["12", blunt, NAIVE, "old"]]
    new = [["12", blunt, NAIVE, "new"], ["12", blunt, FROM_PARTS, "new"], ["9", kind, NAIVE, "new"]]
    assert together(before, new) == [new[2], before[0], new[0], new[1]]


def test_ties_count_a_half():
    assert win_rate([1.0, 0.5, 0.0, 0.2], [0.0, 0.5, 1.0, 0.1]) == 0.625
