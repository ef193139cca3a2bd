"""Figures: what they draw, that they can be written, and that models keep their colours."""

from __future__ import annotations

import pytest

from rlhf_tutorial import plotting, plotting_ppo
from rlhf_tutorial.evaluation import AXES
from rlhf_tutorial.plotting_parts import bar_places, png_bytes, running_mean, whiskers
from rlhf_tutorial.reporting import MODEL_NAMES

HISTORIES = {
    "pretraining": [
        {"step": step, "loss": 6 / (step + 1), "lr": 0.01, "facts_known": step / 100}
        for step in range(100)
    ],
    "sft": [{"step": step, "loss": 2 / (step + 1)} for step in range(20)],
    "reward_model": [
        {"step": 1, "loss": 0.7},
        {"step": 2, "loss": 0.6, "validation_loss": 0.65, "validation_accuracy": 0.7},
    ],
    "ppo": [
        {"objective/scores": step, "objective/kl": step / 9, "objective/entropy": 9.0, "gold": 0.5}
        for step in range(10)
    ],
}
MODELS = {
    name: {"gold": 0.5, **dict.fromkeys(AXES, 0.1 * index)}
    for index, name in enumerate(MODEL_NAMES)
}
RATE = {"mean": 0.8, "low": 0.7, "high": 0.9, "n": 600}
RELIABILITY = [{"probability": 0.2, "frequency": 0.3, "count": 5}]


def relative_luminance(colour: str) -> float:
    """Brightness of "#RRGGBB" as WCAG 2 defines it, from 0 (black) to 1 (white)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_every_figure_of_a_report_is_written(tmp_path):
    report = {
        "models": MODELS,
        "win_rate": {"rlhf_vs_sft": RATE},
        "reward_model": {"ece": 0.05},
    }
    written = plotting.write_figures(tmp_path, report, HISTORIES, RELIABILITY)
    assert len(written) == 5
    for name in written.values():
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_figures_without_data_are_left_out(tmp_path):
    report = {"models": MODELS, "win_rate": {"rlhf_vs_sft": RATE}, "reward_model": {"ece": None}}
    written = plotting.write_figures(tmp_path, report, {"ppo": []})
    assert sorted(written.values()) == ["figures/axes.png", "figures/win_rates.png"]


def test_background_is_not_transparent(tmp_path):
    from matplotlib.image import imread

    path = plotting.save(plotting.ppo_panel(HISTORIES["ppo"]), tmp_path / "ppo.png")
    pixels = imread(path)
    assert pixels.shape[2] == 3 or pixels[:, :, 3].min() == 1
    assert pixels[0, 0, :3].min() > 0.9


def test_all_visible_axes_are_labelled():
    figures = [
        plotting.learning_curves(HISTORIES),
        plotting.axes_bars(MODELS),
        plotting.win_rates({"rlhf_vs_sft": RATE}),
        plotting.reliability_curve(RELIABILITY, 0.1),
        plotting.ppo_panel(HISTORIES["ppo"]),
    ]
    for figure in figures:
        for axes in figure.axes:
            assert not axes.get_visible() or axes.get_xlabel() or axes.get_ylabel()


def test_bars_show_the_values_in_the_models_colours():
    from matplotlib.colors import to_hex

    axes = plotting.axes_bars(MODELS).axes[0]
    assert len(axes.containers) == len(MODELS)
    for name, bars in zip(MODELS, axes.containers, strict=True):
        wanted = [MODELS[name]["gold"], *(MODELS[name][axis] for axis in AXES)]
        assert [bar.get_height() for bar in bars] == pytest.approx(wanted)
        assert to_hex(bars[0].get_facecolor()).upper() == plotting.MODEL_COLOURS[name]


def test_bars_leave_out_what_was_not_measured():
    axes = plotting.axes_bars({"sft": {"gold": 0.4, "tone": None}}).axes[0]
    assert [bar.get_height() for bar in axes.containers[0]] == [0.4]


def test_colours_belong_to_one_model_each_and_stand_out_from_the_background():
    assert set(plotting.MODEL_COLOURS) == set(MODEL_NAMES)
    assert len(set(plotting.MODEL_COLOURS.values())) == len(MODEL_NAMES)
    assert not set(plotting.MODEL_COLOURS.values()) & set(plotting.LINE_COLOURS)
    paper = relative_luminance(plotting.PAPER)
    for colour in (*plotting.MODEL_COLOURS.values(), *plotting.LINE_COLOURS):
        assert (paper + 0.05) / (relative_luminance(colour) + 0.05) > 2
    assert (paper + 0.05) / (relative_luminance(plotting.INK) + 0.05) > 7


def test_learning_curves_draw_loss_above_and_probes_below():
    figure = plotting.learning_curves(HISTORIES)
    assert len(figure.axes) == 8
    titles = [axes.get_title(loc="left") for axes in figure.axes[:4]]
    assert titles == ["Pretraining", "SFT", "Reward model", "PPO"]
    assert plotting.probe_keys(HISTORIES["pretraining"], ("loss",)) == ["facts_known"]
    assert [axes.get_visible() for axes in figure.axes[4:]] == [True, False, True, True]


def test_the_tree_of_prefixes_numbers_them_as_notebook_05_does():
    words = ["yes", "please", "."]
    replies = (".", "yes .", "please .", "yes yes", "yes please", "please yes", "please please")
    scores = {reply: index / 10 for index, reply in enumerate(replies)}
    figure = plotting_ppo.prefix_tree(words, 2, scores=scores, values=[0.25, 1, 2])
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert [text for text in texts if text.startswith("“")] == [
        "“yes”   0.3",
        "“please”   0.4",
        "“.”   0.1",
        "“yes”   0.5",
        "“please”   0.6",
        "“.”   0.2",
        "“.”   0.0",
    ]
    for number, value in (("0", "V 0.25"), ("1", "V 1.00"), ("2", "V 2.00")):
        assert texts[texts.index(number) + 2] == value  # the prefix's words stand between them
    plain = [text.get_text() for text in plotting_ppo.prefix_tree(words, 4).axes[0].texts]
    assert "“.”" in plain and not any(text.startswith("V ") for text in plain)
    numbers = [int(text) for text in plain if text.isdigit()]
    named = [text for text in plain if text.replace(" ", "").isalpha() or text == "(nothing)"]
    for number, name in zip(numbers, named, strict=True):
        expected = 0
        for word in name.split() if number else []:
            expected = 3 * expected + words.index(word) + 1
        assert number == expected


def test_a_smaller_picture_has_the_same_pixels():
    import io

    from matplotlib.image import imread

    figure = plotting_ppo.prefix_tree(["yes", "."], 3)
    large, small = png_bytes(figure, 96), png_bytes(figure, 96, optimize=True)
    assert len(small) < len(large) / 2
    pixels = [imread(io.BytesIO(picture))[:, :, :3] for picture in (large, small)]
    assert (pixels[0] == pixels[1]).all()


def test_running_mean_never_looks_ahead():
    assert running_mean([1, 3, 5, 7], 2) == [1, 2, 4, 6]


def test_bars_of_a_group_touch_and_leave_a_gap_to_the_next_group():
    for bars in (1, 2, 5):
        width, offsets = bar_places(bars)
        assert width == pytest.approx(0.8 / bars)
        assert sum(offsets) == pytest.approx(0)
        ends = [(offset - width / 2, offset + width / 2) for offset in offsets]
        assert [start for start, _ in ends[1:]] == pytest.approx([end for _, end in ends[:-1]])


def test_whiskers_go_down_to_low_and_up_to_high():
    assert whiskers(5, 3, 9) == [[2], [4]]


@pytest.mark.parametrize(
    "call",
    [
        lambda: plotting.learning_curves({}),
        lambda: plotting.axes_bars({}),
        lambda: plotting.reliability_curve([]),
        lambda: plotting.ppo_panel([]),
    ],
)
def test_nothing_to_draw_is_said_in_one_line(call):
    with pytest.raises(ValueError) as error:
        call()
    assert "\n" not in str(error.value)
