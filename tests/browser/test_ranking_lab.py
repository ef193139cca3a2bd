"""The ranking widget in a real browser, in a real JupyterLab, with a real kernel."""

from __future__ import annotations

import statistics

import pytest

from rlhf_tutorial.preferences import Ranking, load_rankings
from tests.browser.notebook_page import NotebookPage

pytestmark = pytest.mark.medium


def make_items(count: int, replies: int = 4) -> list[dict]:
    return [
        {
            "prompt": f"Question {n}: where is the kettle?",
            "replies": [f"Item {n}, reply {r}: look near the well." for r in range(replies)],
        }
        for n in range(count)
    ]


def keys_for_last_first(count: int) -> list[str]:
    return [str(number) for number in range(count, 0, -1)]


def expect_order(record: Ranking, places: list[list[int]]) -> None:
    """That a record holds tiers which were given as positions on the screen, counted from 1."""
    assert record.tiers == [[record.shown[place - 1] for place in tier] for tier in places]


def rank_by_keyboard(page: NotebookPage, count: int) -> None:
    """Four keys an item: three picks, and Enter; the fourth reply finds its place itself."""
    for _ in range(count):
        page.press("4", "2", "1")
        page.next_turn(lambda: page.press("Enter"))


def rank_by_mouse(page: NotebookPage, count: int) -> None:
    for _ in range(count):
        for position in (2, 0, 3):
            page.cards.nth(position).click()
        page.next_turn(lambda: page.button("Enter").click())


def check_file_byte_by_byte(page: NotebookPage) -> None:
    """Each line is one record as this code writes it, and there is nothing else in the file."""
    records = load_rankings(page.file)
    lines = "".join(record.to_json() + "\n" for record in records)
    assert page.file.read_bytes() == lines.encode("utf-8")
    assert len({record.id for record in records}) == len(records)


def rank_twenty_with_reload_and_restart(page: NotebookPage) -> list[float]:
    """The way of a reader: ten by keyboard, ten by mouse, a reload and a restart in between."""
    page.focus()
    page.start_stopwatch()
    for done in range(1, 11):
        rank_by_keyboard(page, 1)
        milliseconds = page.milliseconds(done)  # who ranks an item has seen it: it is painted
    after_ten = page.file.read_bytes()
    assert after_ten.count(b"\n") == 10

    page.save()
    page.reload()
    assert "10 of 20" in page.widget.inner_text()
    rank_by_mouse(page, 5)

    page.restart_kernel()
    page.run_first_cell()
    assert "15 of 20" in page.widget.inner_text()
    rank_by_mouse(page, 5)
    assert "All done" in page.widget.inner_text()

    assert page.file.read_bytes().startswith(after_ten)
    check_file_byte_by_byte(page)
    records = page.rankings()
    assert [record.prompt for record in records] == [i["prompt"] for i in make_items(20)]
    assert [record.replies for record in records] == [i["replies"] for i in make_items(20)]
    for record in records[:10]:
        expect_order(record, [[4], [2], [1], [3]])
    for record in records[10:]:
        expect_order(record, [[3], [1], [4], [2]])
    return milliseconds


def test_rank_reload_restart_and_go_on(lab, open_notebook, capsys):
    page = open_notebook(lab, make_items(20))
    milliseconds = rank_twenty_with_reload_and_restart(page)
    assert page.hosts == {page.page.url.split("/")[2]}, "the widget asked another host"
    with capsys.disabled():
        print(f"\nfrom key to next item: median {statistics.median(milliseconds):.0f} ms", end=" ")
    assert statistics.median(milliseconds) < 1000  # a busy machine; the figure itself is printed


def test_the_same_in_notebook_7(classic, open_notebook):
    rank_twenty_with_reload_and_restart(open_notebook(classic, make_items(20)))
