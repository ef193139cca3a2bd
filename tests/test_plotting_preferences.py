"""Figures of notebooks 03 and 04: they draw what they are given, with labelled axes."""

from __future__ import annotations

import pytest

from rlhf_tutorial import plotting_preferences as preferences
from rlhf_tutorial import plotting_reward as reward

ROW = (0.7, 0.6, 0.8)
FIGURES = {
    "next_words": lambda: preferences.next_words(["I", "The"], {0.5: [0.9, 0.1], 1: [0.6, 0.4]}),
    "marks": lambda: preferences.marks({"strict": [6, 5, 2], "lenient": [10, 8, 7]}),
    "pairs": lambda: preferences.pairs_per_ranking([2, 3, 4], [1, 3, 6]),
    "matrix": lambda: preferences.agreement_matrix(["a", "b"], {("b", "a"): 0.8}),
    "ladder": lambda: preferences.agreement_ladder({"chance": ROW, "people": ROW}),
    "places": lambda: preferences.best_places({"one": [ROW] * 4, "two": [ROW] * 4}),
    "coin": lambda: reward.coin([0, 1, 2], {"a": [0.1, 0.3, 0.2], "b": [0.1, 0.2, 0.1]}),
    "loss": lambda: reward.loss_and_pull([-1, 0, 1], [0.3, 0.5, 0.7], [1.2, 0.7, 0.4]),
    "fits": lambda: reward.fitted_scores([0, 1], {"a": [0, 1.1], "b": [0.1, 1]}),
    "training": lambda: reward.training([0.7, 0.6], [{"step": 2, "held_out": 0.6, "gold": 0.7}]),
    "by gap": lambda: reward.accuracy_by_gap(["0 to 1"], [ROW]),
    "learning": lambda: reward.learning_curve([25, 300], {25: [0.6, 0.65], 300: [0.75]}),
    "edits": lambda: reward.edits({"polite": (ROW, 0.1), "rude": ((-1, -2, 0), -0.2)}),
    "student": lambda: reward.teacher_and_student(
        [-1, 0, 1], {"line": [-1.2, 0.4, 0.9], "student": [-1, 0.1, 1]}, [True, False, False], "few"
    ),
    "cards": lambda: reward.score_cards("What?", [("as it is", "This, for $5.", 0.4)]),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_drawn_with_labels(name, tmp_path):
    figure = FIGURES[name]()
    figure.savefig(tmp_path / "figure.png")
    axes = [a for a in figure.axes if a.axison and a.get_label() != "<colorbar>"]
    assert all(a.get_xlabel() or name == "matrix" for a in axes)


def test_a_change_that_the_model_likes_and_gold_does_not_has_a_colour_of_its_own():
    figure = reward.edits({"liked by both": (ROW, 0.1), "liked by one": (ROW, -0.4)})
    colours = [line.get_color() for line in figure.axes[0].lines[:4]]
    assert colours[0] == colours[1] != colours[2] == colours[3]


def test_a_ranked_item_shows_every_reply_and_its_place():
    figure = preferences.ranked_item("What?", ["This, for $5.", "That."], [1, 0])
    words = [text.get_text() for text in figure.axes[0].texts]
    assert "That." in words and "was no. 2" in words and any("\\$5" in word for word in words)
