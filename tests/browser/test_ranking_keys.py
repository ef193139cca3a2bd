"""Keys, mouse and focus in the ranking widget: what each does, and that Jupyter does nothing."""

from __future__ import annotations

import pytest

from tests.browser.test_ranking_lab import expect_order, make_items

pytestmark = pytest.mark.medium
FULL_DISK = """\
import errno, os
from pathlib import Path

real_fsync = os.fsync


def fsync(file):
    if Path("{name}.full").exists():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    real_fsync(file)


os.fsync = fsync
"""


def cells(page) -> list[str]:
    return page.page.locator(".jp-Notebook .jp-Cell .cm-content").all_inner_texts()


def test_shortcuts_of_jupyter_do_nothing_in_the_widget(lab, open_notebook):
    page = open_notebook(lab, make_items(3))
    before = cells(page)
    page.focus()
    page.press("d", "d", "x", "a", "b", "m", "c", "v", "z", "0", "0", "Enter", "Shift+M", "j", "k")
    page.press("Control+Enter", "Shift+Enter", "Alt+Enter", "Control+s", "Control+Shift+C")
    page.answered(lambda: page.press("f"))  # all keys before this one have been dealt with
    assert cells(page) == before
    assert page.page.locator(".jp-Dialog, .jp-CommandPalette:visible").count() == 0
    assert page.widget.locator(".prompt .words").inner_text() == make_items(1)[0]["prompt"]
    assert page.widget.evaluate("root => root === document.activeElement")
    # The keys of a field stay in the field.
    page.press("n")
    page.page.keyboard.type("ddx 12s")
    page.answered(lambda: page.press("Escape"))
    assert cells(page) == before and page.widget.locator(".card.placed").count() == 0

    # Esc gives the keys back: now they do fire, so the above means something.
    page.press("Escape")
    page.press("b")
    page.until(lambda: len(cells(page)) == len(before) + 1)


def test_every_key_does_what_the_help_says(lab, open_notebook):
    page = open_notebook(lab, make_items(6))
    page.focus()
    page.press("?")
    assert "take the last pick back" in page.widget.inner_text()
    page.press("?", "g", "g")

    # = ties the next pick with the last one.
    page.press("2", "=", "3", "1")
    page.next_turn(lambda: page.press("Enter"))
    # Backspace takes the last pick back; = after all are placed ties the last two.
    page.press("1", "2", "Backspace", "Backspace", "4", "1", "2", "=")
    page.next_turn(lambda: page.press("Enter"))
    # Enter before all are placed does nothing but say so.
    page.press("1", "Enter")
    assert "have no place yet" in page.widget.locator(".hint").inner_text()
    page.press("Backspace", "s")
    page.next_turn(lambda: page.press("2"))
    # A flag, a note and a thumb go with the answer.
    page.answered(lambda: page.press("f"))
    page.press("n")
    page.page.keyboard.type("so <b>kind</b>")
    page.answered(lambda: page.widget.get_by_label("tone good").click())
    page.press("Escape", "1", "2", "3")
    page.next_turn(lambda: page.press("Enter"))
    # u reopens the item before, with its note.
    page.next_turn(lambda: page.press("u"))
    page.press("n")
    assert page.widget.locator(".open.more input").input_value() == "so <b>kind</b>"
    page.press("Escape", "4", "3", "2")
    page.next_turn(lambda: page.press("Enter"))
    # A reason in one's own words.
    page.press("s")
    page.widget.locator(".open.skip input").fill("beyond me")
    page.next_turn(lambda: page.press("Enter"))

    first, second, skipped, noted, in_words = page.rankings()
    expect_order(first, [[2, 3], [1], [4]])
    expect_order(second, [[4], [1], [2, 3]])
    assert skipped.skip == "None of the replies is any good" and skipped.tiers == []
    assert in_words.skip == "beyond me"
    expect_order(noted, [[4], [3], [2], [1]])
    assert noted.note == "so <b>kind</b>" and noted.flags == ["harmful", "tone+"]


def test_a_key_pressed_twice_answers_one_item(lab, open_notebook):
    page = open_notebook(lab, make_items(4))
    page.focus()
    page.press("1", "2", "3")
    page.next_turn(lambda: page.press("Enter", "Enter", "Enter"))
    page.answered(lambda: page.press("f"))
    assert len(page.rankings()) == 1


def test_drag_and_click(lab, open_notebook):
    page = open_notebook(lab, make_items(2))
    slots = page.widget.locator(".slot")
    # Cards to places, then a place to another place: 3 1 4 (2), and 4 to the top.
    for position, place in ((2, 0), (0, 1), (3, 2)):
        page.cards.nth(position).drag_to(slots.nth(place))
    slots.nth(2).locator(".excerpt").drag_to(slots.nth(0))
    assert page.widget.locator(".card.placed").count() == 4
    # Dropped anywhere else nothing changes.
    page.cards.nth(0).drag_to(page.widget.locator(".prompt .words"))
    page.next_turn(lambda: page.button("Enter").click())
    # A click on a placed card takes it out; = beside a place ties it with the one above.
    for position in (0, 1, 1, 1):
        page.cards.nth(position).click()
    page.cards.nth(2).click()
    page.widget.locator("button.tie").first.click()
    page.next_turn(lambda: page.button("Enter").click())
    dragged, clicked = page.rankings()
    expect_order(dragged, [[4], [3], [1], [2]])
    expect_order(clicked, [[1, 2], [3], [4]])


def test_a_full_disk_keeps_the_answer_and_tries_again(lab, open_notebook):
    name = "test_a_full_disk_keeps_the_answer_and_tries_again"
    page = open_notebook(lab, make_items(3), before=FULL_DISK.format(name=name))
    full = lab.folder / f"{name}.full"
    page.focus()
    full.touch()
    page.press("3", "1", "4")
    page.answered(lambda: page.press("Enter"))
    alert = page.widget.get_by_role("alert")
    assert "No space left on device" in alert.inner_text()
    assert "answer is kept" in alert.inner_text()
    page.press("1", "s", "u")  # nothing else can be done before it is saved
    page.answered(lambda: page.press("Enter"))
    assert alert.is_visible() and page.rankings() == []
    full.unlink()
    page.next_turn(lambda: page.button("Enter").click())
    (record,) = page.rankings()
    expect_order(record, [[3], [1], [4], [2]])
    assert alert.count() == 0 and "1 of 3" in page.widget.inner_text()


def test_a_second_notebook_on_one_file_is_told(lab, open_notebook, request):
    name = request.node.name
    page = open_notebook(lab, make_items(2))
    page.focus()
    page.press("1", "2", "3")
    page.next_turn(lambda: page.press("Enter"))
    # Another program holds the file: here this one, after the kernel let go of it.
    from rlhf_tutorial.store import RankingStore

    page.restart_kernel()
    with RankingStore(lab.folder / f"{name}.jsonl"):
        page.run_first_cell(expect=".error button")
        assert "already open in another notebook" in page.widget.inner_text()
    page.next_turn(lambda: page.button("Enter").click())
    assert "1 of 2" in page.widget.inner_text()


def test_everything_is_reached_without_a_mouse(lab, open_notebook):
    page = open_notebook(lab, make_items(2))
    page.focus()
    names = []
    for _ in range(40):
        page.press("Tab")
        if not page.widget.evaluate("root => root.contains(document.activeElement)"):
            break
        names.append(page.page.evaluate("document.activeElement.innerText"))
        outline = page.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid", f"the focus cannot be seen on {names[-1]!r}"
    words = " ".join(names)
    for word in ("Guidelines", "Keys", "1", "4", "Submit", "Undo pick", "Note", "Harmful", "Skip"):
        assert word in words, f"Tab does not reach {word}"
    # With Tab and Enter alone: the second reply first, then in the order of the screen.
    page.cards.nth(1).locator("button").focus()
    page.press("Enter")
    for position in (0, 2):
        page.cards.nth(position).locator("button").focus()
        page.press("Enter")
    page.button("Enter").focus()
    page.next_turn(lambda: page.press("Enter"))
    expect_order(page.rankings()[0], [[2], [1], [3], [4]])
