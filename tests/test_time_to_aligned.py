"""The record table: read off the five-seed rows, one line a commit, in order of days."""

from __future__ import annotations

import pytest

from benchmarks.time_to_aligned import line, section, with_line
from rlhf_tutorial.reporting import markdown_table, replace_section

SEEDS = markdown_table(
    ["seed", "seconds", "MB", "rankings", "RM vs gold", "ECE", "RLHF over SFT"],
    [
        ["10", "300", "830", "300", "0.82", "0.071", "0.80 [0.75, 0.85]"],
        ["11", "410", "831", "300", "0.81", "0.062", "0.79 [0.74, 0.84]"],
        ["12", "350", "831", "300", "0.81", "0.062", "0.91 [0.84, 0.95]"],
    ],
)
PAGE = f"""# Benchmarks
<!-- seeds-quick:start -->
{SEEDS}
<!-- seeds-quick:end -->
<!-- aligned:start -->
Not measured yet.
<!-- aligned:end -->
"""


def test_a_line_tells_all_seeds_and_how_many_are_aligned():
    new = line(PAGE, "2026-11-27", "abc1234", "more")
    assert new == [
        *("2026-11-27", "abc1234", "350 (300 to 410)", "0.80, 0.79, 0.91", "2 of 3", "more")
    ]


def test_lines_stand_in_order_of_days_and_a_commit_has_one():
    page = PAGE
    for day, commit, what in [
        ("2026-11-27", "abc1234", "second"),
        ("2026-11-23", "fff0000", "first"),
        ("2026-11-27", "abc1234", "second, better said"),
    ]:
        new = line(page, day, commit, what)
        page = replace_section(page, "aligned", with_line(page, new))
    rows = section(page, "aligned")
    assert [row[1] for row in rows] == ["fff0000", "abc1234"]
    assert rows[1][-1] == "second, better said" and section(page, "seeds-quick")


def test_a_page_without_rows_is_told_in_one_line():
    with pytest.raises(ValueError, match=r"run five_seeds\.py"):
        line("nothing here", "2026-11-27", "abc1234", "x")
    with pytest.raises(ValueError, match=r"rows of the quick preset are empty"):
        line(PAGE.replace(SEEDS, "Not measured yet."), "2026-11-27", "abc1234", "x")
