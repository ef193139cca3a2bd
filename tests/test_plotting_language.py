"""Figures about tokens: what is drawn, in which order, and what is refused."""

from __future__ import annotations

import io

import pytest

from rlhf_tutorial import course_live, plotting_language
from rlhf_tutorial.plotting_language import LEARNT, NOT_LEARNT

TOKENS = ["<|user|>", " Where", " $is$", " it", "?\n"]


def words_of(figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def save(figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def test_boxes_show_every_token_with_its_fill_and_text():
    fills = [NOT_LEARNT] * 4 + [LEARNT]
    figure = plotting_language.token_boxes(TOKENS, fills, list("abcde"), {"learnt": LEARNT})
    shown = ["<|user|>", "·Where", "·$is$", "·it", "?↵"]
    pairs = [part for pair in zip(shown, "abcde", strict=True) for part in pair]
    assert words_of(figure) == ["learnt", *pairs]
    patches = figure.axes[0].patches
    assert [patch.get_facecolor() for patch in patches[1:5]] == [patches[1].get_facecolor()] * 4
    assert patches[5].get_facecolor() != patches[1].get_facecolor()
    assert patches[0].get_facecolor() == patches[5].get_facecolor()  # the legend's
    assert save(figure)


@pytest.mark.parametrize("tokens, fills", [([], None), (["a", "b"], [LEARNT])])
def test_boxes_refuse_what_does_not_fit(tokens, fills):
    with pytest.raises(ValueError, match="token"):
        plotting_language.token_boxes(tokens, fills)


def test_boxes_are_broken_into_lines_and_none_is_lost():
    lines = plotting_language.lines_of_boxes([4, 4, 4, 30, 2], line_width=10)
    assert lines == [[0, 1], [2], [3], [4]]


def test_surprise_has_a_bar_for_each_token_and_guesser():
    figure = plotting_language.surprise(["a", " b"], {"one": [1.0, 2.0], "two": [3.0, 4.0]})
    assert [bar.get_height() for bar in figure.axes[0].patches] == [1.0, 2.0, 3.0, 4.0]


def test_bits_say_how_many_choices_they_mean():
    figure = plotting_language.bits_on_one_axis({"uniform": 11.0, "model": 1.0}, {})
    assert [words.strip() for words in words_of(figure)] == [
        "11.00 bits: as hard as 1 of 2,048",
        "1.00 bits: as hard as 1 of 2.0",
    ]


def test_what_appears_when_needs_probes():
    with pytest.raises(ValueError, match="without probes"):
        plotting_language.what_appears_when([{"step": 1, "loss": 2.0}], 3)
    history = [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0, "probe/facts": 0.5}]
    figure = plotting_language.what_appears_when(
        [row | {"probe/copied_things": 0.1, "probe/copied_places": 0.2} for row in history], 1.5
    )
    assert len(figure.axes) == 2 and save(figure)


def test_a_live_loss_cuts_long_samples():
    figure = plotting_language.live_loss([3.0, 2.0], 10, "word\n" * 40)
    title = figure.axes[0].get_title(loc="left")
    assert title.startswith("step 2:") and title.endswith("…") and "\n" not in title


def test_side_by_side_has_a_bar_for_each_row_and_quantity():
    rows = {"people": {"tone": 0.5, "clarity": 0.6}, "model": {"tone": 0.4, "clarity": 0.7}}
    figure = plotting_language.side_by_side(rows, dict.fromkeys(rows, LEARNT), "score")
    assert [bar.get_height() for bar in figure.axes[0].patches] == [0.5, 0.6, 0.4, 0.7]


@pytest.mark.parametrize(("headless", "pictures"), [("1", 1), ("", 3)])
def test_a_live_picture_keeps_one_place_and_waits_when_headless(monkeypatch, headless, pictures):
    shown, drawn = [], []
    monkeypatch.setenv("RLHF_TUTORIAL_HEADLESS", headless)

    class Handle:
        def update(self, picture):
            drawn.append(picture)

    def display(thing, display_id=False):
        shown.append(thing)
        if display_id:
            drawn.append(thing)
            return Handle()

    monkeypatch.setattr("IPython.display.display", display)
    live = course_live.LivePicture()
    for _ in range(2):
        live.draw(plotting_language.live_loss([1.0], 5))
    live.finish(plotting_language.live_loss([1.0], 5), "What to see.")
    assert len(drawn) == pictures and len(shown) == 2  # one place for pictures, one sentence
    assert "What to see." in shown[-1].data
