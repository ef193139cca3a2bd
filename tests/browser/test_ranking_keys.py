"""Keys, mouse and focus in the ranking widget: what each does, and that Jupyter does nothing."""

from __future__ import annotations

import pytest

from tests.browser.test_ranking_lab import expect_order, make_items

pytestmark = pytest.mark.medium
FULL_DISK = """\
import errno, os
from pathlib import Path

# Kept there, since the cell may run twice in one kernel.
os.real_fsync = getattr(os, "real_fsync", os.fsync)


def fsync(file):
    if Path("{name}.full").exists():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.real_fsync(file)


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


def test_a_held_key_acts_once(lab, open_notebook):
    page = open_notebook(lab, make_items(4))
    keyboard = page.page.keyboard
    page.focus()
    for _ in range(3):
        page.press("1", "2", "3")
        page.next_turn(lambda: keyboard.down("Enter"))
        page.press("1", "2", "3")
        keyboard.down("Enter")  # a repeat, since it was not let go
        keyboard.up("Enter")
        page.press("Backspace", "Backspace", "Backspace")
    page.answered(lambda: page.press("f"))  # all keys before this one have been dealt with
    assert len(page.rankings()) == 3
    page.next_turn(lambda: keyboard.down("u"))
    for _ in range(3):
        keyboard.down("u")
    keyboard.up("u")
    page.answered(lambda: page.press("f"))
    assert len(page.rankings()) == 2


def test_caps_lock_changes_nothing(lab, open_notebook):
    page = open_notebook(lab, make_items(2))
    page.focus()
    page.press("1", "2", "3")
    page.next_turn(lambda: page.press("Enter"))
    for key, panel in (("N", "more"), ("S", "skip"), ("G", "guidelines")):
        page.press(key)
        assert page.widget.locator(f".open.{panel}").is_visible()
        page.press("Escape")
    page.answered(lambda: page.press("F"))
    assert page.button("f").get_attribute("aria-pressed") == "true"
    page.next_turn(lambda: page.press("U"))
    assert page.rankings() == []


def test_a_note_that_was_begun_is_there_when_its_item_comes_again(lab, open_notebook):
    page = open_notebook(lab, make_items(2))
    page.focus()
    page.press("1", "2", "3")
    page.next_turn(lambda: page.press("Enter"))
    page.answered(lambda: page.press("f"))
    page.press("n")
    page.page.keyboard.type("half a thought")
    page.next_turn(lambda: page.button("u").click())
    assert page.button("f").get_attribute("aria-pressed") == "false"
    page.press("1", "2", "3")
    page.next_turn(lambda: page.press("Enter"))
    assert page.button("f").get_attribute("aria-pressed") == "true"
    page.press("n")
    assert page.widget.locator(".open.more input").input_value() == "half a thought"


def test_a_drop_gives_the_place_that_is_named(lab, open_notebook):
    page = open_notebook(lab, make_items(1))
    slots, cards = page.widget.locator(".slot"), page.cards
    said = [" ".join(text.split()) for text in slots.all_inner_texts()]
    assert said == ["1st best", "", "", ""]
    # On the lowest place, when none is filled, the mark is on the one that it gets.
    cards.nth(3).hover()
    page.page.mouse.down()
    slots.nth(3).hover()
    assert slots.locator("xpath=self::*[contains(@class, 'target')]").count() == 1
    assert "target" in slots.nth(0).get_attribute("class")
    page.page.mouse.up()
    assert cards.nth(3).locator(".rank").inner_text() == "1st"
    cards.nth(0).drag_to(slots.nth(3))
    assert cards.nth(0).locator(".rank").inner_text() == "2nd"
    # A placed reply cannot be put where nothing is named.
    slots.nth(0).locator(".excerpt").drag_to(slots.nth(3))
    assert cards.nth(3).locator(".rank").inner_text() == "1st"
    # On one of two that are tied as 1st, another becomes the 1st.
    page.widget.locator("button.tie").click()
    cards.nth(1).drag_to(slots.nth(1))
    assert [card.locator(".rank").inner_text() for card in cards.all()] == [
        *("2nd =", "1st", "4th", "2nd =")
    ]


def test_only_the_primary_button_drags_and_only_what_can_be_dragged(lab, open_notebook):
    page = open_notebook(lab, make_items(1))
    mouse, ghost = page.page.mouse, page.page.locator(".rlhf-ranking-ghost")
    words, slot = page.cards.nth(0).locator(".words"), page.widget.locator(".slot").first

    def drag(x: float, **about) -> int:
        """From this far into the first reply's text; how many ghosts follow the pointer."""
        box = words.bounding_box()
        mouse.move(box["x"] + x, box["y"] + 5)
        mouse.down(**about)
        slot.hover()
        return ghost.count()

    assert drag(20, button="right") == 0
    mouse.up(button="right")
    # Chromium hides its scrollbars when it has no screen; a border is beside the inner width too.
    words.evaluate("words => words.style.borderRight = '15px solid'")
    assert drag(words.bounding_box()["width"] - 7) == 0
    mouse.up()
    assert drag(20) == 1
    # The button was let go outside the window: no event says so, but the next move does. A mouse
    # is pointer 1, and what another one does is not its affair.
    hover = "id => window.dispatchEvent(new PointerEvent('pointermove', {pointerId: id}))"
    page.page.evaluate(hover, 2)
    assert ghost.count() == 1
    page.page.evaluate(hover, 1)
    assert ghost.count() == 0
    mouse.up()
    page.cards.nth(1).click()
    touch = "slot => getComputedStyle(slot).touchAction"
    assert slot.evaluate(touch) == "none"  # else a finger scrolls the page instead


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
