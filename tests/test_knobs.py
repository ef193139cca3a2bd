"""The knobs of notebook 05: a run joins the picture, errors are told, headless trains nothing."""

from __future__ import annotations

import pytest

from rlhf_tutorial import plotting_ppo
from rlhf_tutorial.widgets import knobs

HISTORY = [{"step": step, "objective/scores": 0.1 * step, "gold": 0.5} for step in (1, 2, 3)]


def train(kl_coefficient, clip, learning_rate, on_step):
    on_step(HISTORY, 4)
    if learning_rate > 1e-3:
        raise ValueError("the policy has collapsed")
    return [*HISTORY, {"step": 4, "objective/scores": kl_coefficient, "clip": clip}]


def test_a_run_joins_the_others_and_the_picture():
    board = knobs.Knobs(train, {"live": HISTORY})
    before = board.picture.value
    board.kl_coefficient.value, board.clip.value = 0.3, 0.1
    board.run()
    assert list(board.runs) == ["live", "β 0.3, clip 0.1, rate 0.0003"]
    assert board.newest[-1] == {"step": 4, "objective/scores": 0.3, "clip": 0.1}
    assert board.picture.value != before and "Done" in board.said.value


def test_what_went_wrong_is_told_and_the_button_works_again():
    board = knobs.Knobs(train, {"live": HISTORY})
    board.learning_rate.value = 3e-3
    board.run()
    assert "collapsed" in board.said.value and list(board.runs) == ["live"]
    assert not board.button.disabled


def test_a_picture_holds_the_first_run_and_the_newest_three():
    board = knobs.Knobs(train, {str(name): HISTORY for name in range(6)})
    assert list(board.shown()) == ["0", "3", "4", "5"]


def test_headless_nothing_is_trained(monkeypatch, capsys):
    monkeypatch.setenv("RLHF_TUTORIAL_HEADLESS", "1")
    assert knobs.show(None, {"live": HISTORY}) is None
    assert "Nobody sits here" in capsys.readouterr().out


def test_a_panel_needs_something_to_draw():
    figure = plotting_ppo.training_panel({"a": HISTORY, "b": HISTORY}, steps=5)
    assert [axes.get_ylabel() for axes in figure.axes if axes.get_visible()] == [
        "score (standard deviations)",
        "gold score (0 to 1)",
    ]
    with pytest.raises(ValueError, match="no PPO history"):
        plotting_ppo.training_panel({"a": []})
