"""Checks of the exercises of notebook 01, on pretraining."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch

from rlhf_tutorial.batching import IGNORE
from rlhf_tutorial.checks.core import Wrong, attempted, exercise
from rlhf_tutorial.village.words import NAMES

PROMPTS = (
    "Please bring the lantern to Ada at the mill.",
    "Where does Olga live?",
    "I am so lonely. My swan is ill.",
)
CLOSE = 1e-4  # bits


@exercise(
    "01.2",
    hints=(
        "How many documents does the model need to see for each: one for every fact, or any?",
        "Copying is one rule that holds for every word. Each fact must be learnt by itself.",
    ),
)
def what_comes_first(answer: str) -> str:
    """The prediction: "copying" or "facts"."""
    guess = str(answer).strip().lower()
    if guess == "facts":
        raise Wrong("Look at the curves: one of them is near the top while the other still lies.")
    if guess != "copying":
        raise Wrong(f'The answer is "copying" or "facts", not {answer!r}.')
    return "One rule serves all words; every fact has to be learnt by itself."


@exercise(
    "01.1",
    hints=(
        "log_softmax over the last dimension gives the log-probability of every token.",
        "gather picks that of the target: logs.gather(-1, targets[..., None]).",
        "Keep the places where targets != -100, divide by log(2), and take the mean of those.",
    ),
)
def bits_a_token(function: Callable) -> str:
    """Mean bits a token: `function(logits, targets)` with targets of -100 left out."""
    generator = torch.Generator().manual_seed(1)
    logits = 3 * torch.randn(2, 5, 7, generator=generator)
    targets = torch.randint(7, (2, 5), generator=generator)
    _same_bits(function, logits, targets, "all targets are tokens")
    targets[0, 3:] = IGNORE
    _same_bits(function, logits, targets, "two targets are -100")
    return "The same numbers as the loss of the package, in bits."


def _same_bits(function: Callable, logits, targets, case: str) -> None:
    value = float(attempted(function(logits.clone(), targets.clone())))
    real = targets != IGNORE
    costs = -logits.log_softmax(-1)[real].gather(-1, targets[real][:, None]).squeeze(-1)
    right = float(costs.mean()) / math.log(2)
    rows = targets.clamp(min=0)
    filled = -logits.log_softmax(-1).gather(-1, rows[..., None]).squeeze(-1) * real
    mistakes = {
        right * math.log(2): "That is in nats: divide by log(2) for bits.",
        -right: "The sign is wrong: a cost is minus the log-probability.",
        right * int(real.sum()): "That is the sum: take the mean over the tokens.",
        float(filled.mean()) / math.log(2): "The mean also counts the places with target -100.",
        -math.log2(float((-costs).exp().mean())): (
            "You took the mean of probabilities and then the logarithm: it is the other way round."
        ),
    }
    if abs(value - right) <= CLOSE:
        return
    for mistake, message in mistakes.items():
        if abs(value - mistake) <= CLOSE:
            raise Wrong(f"{message} (Case: {case}.)")
    raise Wrong(f"Where {case}, your function gives {value:.4f}, expected {right:.4f} bits.")


@exercise(
    "01.3",
    hints=(
        "Print two documents of overheard talk: what stands before an answer?",
        "A name, a colon and the question; then a new line, another name and a colon.",
        "The next token brings its own space: do not end with one.",
    ),
)
def frame(function: Callable[[str], str]) -> str:
    """A text around the prompt whose likeliest continuation is an answer."""
    for prompt in PROMPTS:
        text = attempted(function(prompt))
        if not isinstance(text, str):
            raise Wrong(f"The frame must be a text, not {type(text).__name__}.")
        if prompt not in text:
            raise Wrong("The prompt itself must stand in the text, word for word.")
        before, _, after = text.partition(prompt)
        if text != text.rstrip():
            raise Wrong(
                "The text ends with a space or a new line. Tokens of words begin with their space, "
                "so the model would have to go on in a way that no document does."
            )
        if not _ends_with_speaker(before.rstrip()):
            raise Wrong(
                "Nobody asks: in overheard talk a name and a colon stand before a question."
            )
        if not after.startswith("\n"):
            raise Wrong("The answer stands on a line of its own: put a new line behind the prompt.")
        if not _ends_with_speaker(after):
            raise Wrong("Nobody is about to answer: end with the name of a villager and a colon.")
    return "Now the likeliest way to go on is an answer."


def _ends_with_speaker(text: str) -> bool:
    last = text.split("\n")[-1]
    return last.endswith(":") and last[:-1].strip() in NAMES


def first_step(history: Sequence[Mapping[str, float]], probe: str, share: float = 0.9) -> int:
    """The first step at which a probe reaches a share; past the last step if it never does.

    Raises:
        ValueError: the history has no row with this probe.
    """
    rows = [row for row in history if probe in row]
    if not rows:
        raise ValueError(f"the history has no probe {probe!r}: look at its keys")
    reached = [int(row["step"]) for row in rows if row[probe] >= share]
    return reached[0] if reached else int(rows[-1]["step"]) + 1
