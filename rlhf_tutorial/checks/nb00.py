"""The exercises of notebook 00: whose replies are longest, a win rate, a reply that got worse."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rlhf_tutorial.checks.core import Wrong, attempted, exercise
from rlhf_tutorial.evaluation import AXES
from rlhf_tutorial.stages_chat import NAMES
from rlhf_tutorial.village.gold import judge
from rlhf_tutorial.village.prompts import parse

SAME = 1e-9  # shares closer than this are equal
# Scores of a model and its rival, and the win rate; each tells one misunderstanding from the rest.
CLEAR = ([0.9, 0.8, 0.2, 0.7], [0.1, 0.3, 0.6, 0.4])  # three wins, one loss
TIED = ([0.5, 0.5, 0.9, 0.5], [0.5, 0.5, 0.1, 0.5])  # a win and three ties


@exercise(
    "00.1",
    hints=(
        "Which of the three was never shown where a reply ends?",
        "The base model read whole pages. Demonstrations and rankings are of single replies.",
    ),
)
def longest(prediction: str, mean_words: Mapping[str, float]) -> str:
    """Whose replies are longest: `mean_words` maps base, sft and rlhf to what was measured."""
    if not isinstance(prediction, str) or prediction.lower() not in NAMES:
        raise Wrong(f'Expected one of "{", ".join(NAMES)}" in quotes, found {prediction!r}.')
    truth = max(mean_words, key=mean_words.__getitem__)
    measured = ", ".join(f"{NAMES[name]} {words:.1f}" for name, words in mean_words.items())
    if prediction.lower() != truth:
        why = {
            "base": "The base model goes on until it has written a page's worth, or is stopped.",
            "sft": "SFT copies volunteers, who say their piece and stop.",
            "rlhf": "Rankings can teach a model to say more, and often do, but look at the others.",
        }[prediction.lower()]
        raise Wrong(f"Mean words a reply: {measured}. {why}")
    return f"Mean words a reply: {measured}."


@exercise(
    "00.2",
    hints=(
        "Go through both lists together: zip(scores, rival_scores).",
        "A higher score is worth 1, the same score 0.5, a lower one 0.",
        "Add up what each prompt is worth and divide by the number of prompts.",
    ),
)
def win_rate(function: Callable[[Sequence[float], Sequence[float]], float]) -> str:
    """A function of two lists of scores: the share of prompts that the first one wins."""
    rate = attempted(function(*CLEAR))
    if rate is True or rate is False or not isinstance(rate, int | float):
        raise Wrong(f"Expected one number, found {rate!r}. Is a list returned, or the scores?")
    if abs(rate - 0.25) < SAME:
        raise Wrong("That is how often the rival wins. The first list is the model's own.")
    if abs(rate - 3) < SAME or abs(rate - 75) < SAME:
        raise Wrong(f"Three wins of four gave {rate}: give a share between 0 and 1.")
    if abs(rate - 0.75) > SAME:
        raise Wrong(f"Three wins of four should give 0.75, yours gave {rate}.")
    tied = function(*TIED)
    told = {
        0.25: "Ties count nothing in yours, so two equal models would both lose. A tie is a half.",
        1.0: "Ties count as wins or are left out in yours. A tie is a half and stays in the count.",
    }
    for value, words in told.items():
        if abs(tied - value) < SAME:
            raise Wrong(words)
    if abs(tied - 0.625) > SAME:
        raise Wrong(f"A win and three ties should give 0.625, yours gave {tied}.")
    return "Swap the lists and the two shares add up to 1: that is what the half is for."


@exercise(
    "00.3",
    hints=(
        "Few prompts qualify. Begin with the family in which RLHF stands lowest in the picture.",
        "Requests for a form are a good place: one sentence, yes or no, a sentence with two words.",
        'Many of them: prompts.draw_prompts(20, split="test", seed=1, families=["constraint"]).',
    ),
)
def worse_than_sft(prompt: str, replies: Mapping[str, str]) -> str:
    """A prompt whose RLHF reply the judge likes less than the SFT model's."""
    if parse(prompt) is None:
        raise Wrong(
            "The judge does not know this wording, so it cannot say what a good answer is. "
            "Take a suggested prompt and change its words."
        )
    before, after = judge(prompt, replies["sft"]), judge(prompt, replies["rlhf"])
    if replies["sft"] == replies["rlhf"]:
        raise Wrong("Both said the very same. Try another prompt, or another seed.")
    if after.gold >= before.gold - SAME:
        raise Wrong(
            f"The judge gives the SFT reply {before.gold:.2f} and the RLHF reply {after.gold:.2f}: "
            "nothing got worse here."
        )
    losses = {
        axis: getattr(before, axis) - getattr(after, axis)
        for axis in AXES
        if axis in before.applies | after.applies
    }
    worst = max(losses, key=losses.__getitem__)
    return (
        f"From {before.gold:.2f} to {after.gold:.2f}, most of all in {worst} "
        f"({getattr(before, worst):.2f} to {getattr(after, worst):.2f})."
    )
