"""Base, SFT and RLHF answer the same prompt, side by side: as a cell's output and as a widget.

`side_by_side` is what a cell shows: three columns in a notebook, plain lines elsewhere. `show` is
the widget: type or choose a prompt, set the temperature, ask. When nobody sits in front of the
screen (`course.is_headless`), `show` asks the suggested prompts itself and says so.
"""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rlhf_tutorial import course, stages_chat
from rlhf_tutorial.plotting import MODEL_COLOURS
from rlhf_tutorial.presets import get_preset
from rlhf_tutorial.stages_chat import NAMES, Models
from rlhf_tutorial.village import prompts
from rlhf_tutorial.village.vocabulary import unknown_words
from rlhf_tutorial.widgets import cards

WIDTH = 76  # characters a line in plain output
LOWEST, HIGHEST = 0.1, 1.5  # temperatures that can be set: below, it repeats; above, it babbles


@dataclass(frozen=True)
class SideBySide:
    """One prompt and what each model said; a notebook shows columns, a terminal lines."""

    prompt: str
    replies: dict[str, str]  # model -> reply
    unknown: tuple[str, ...]  # words of the prompt that the village does not know

    def __repr__(self) -> str:
        lines = [f"you:  {_on_one_line(self.prompt)}"]
        if self.unknown:
            lines.append(f"      ({self.note()})")
        for name, reply in self.replies.items():
            first = f"{NAMES.get(name, name) + ':':6}"
            text = _on_one_line(reply) or "(nothing)"
            lines += textwrap.wrap(
                text, WIDTH, initial_indent=first, subsequent_indent=" " * len(first)
            )
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        asked = f"<strong>you:</strong> {cards.safe(self.prompt)}"
        if self.unknown:
            asked += f"<br><em>{cards.safe(self.note())}</em>"
        columns = [
            cards.card(NAMES.get(name, name), reply, MODEL_COLOURS[name])
            for name, reply in self.replies.items()
        ]
        return cards.line(asked) + cards.row(columns)

    def note(self) -> str:
        """Names the words that the village does not know; empty if there are none."""
        if not self.unknown:
            return ""
        return f"The village does not know: {', '.join(map(cards.visible, self.unknown))}."


def _on_one_line(text: str) -> str:
    return " ".join(cards.visible(text).split())


def load_models(*, with_mine: bool = True) -> dict[str, tuple[Any, Any]]:
    """Base, SFT and RLHF of the course's run with their tokenizers, built if missing.

    `with_mine=False` takes the RLHF model that was made without the reader's rankings.
    """
    return stages_chat.load({name: course.artefact(name, with_mine=with_mine) for name in NAMES})


def side_by_side(
    models: Models, prompt: str, seed: int = 0, *, temperature: float = 1.0
) -> SideBySide:
    """What each model says to a prompt; the same seed gives the same replies.

    Raises:
        ValueError: an empty prompt, one too long for the models, or a temperature not above 0.
    """
    if not prompt.strip():
        raise ValueError("the prompt is empty: type something, or choose a suggestion")
    longest = get_preset(course.preset()).max_new_tokens
    replies = stages_chat.answers(
        models, [prompt], seed=seed, temperature=temperature, max_new_tokens=longest
    )
    unknown = tuple(unknown_words(prompt))
    return SideBySide(prompt, {name: texts[0] for name, texts in replies.items()}, unknown)


def suggestions(count: int = 8, seed: int = 0) -> list[str]:
    """Prompts to begin with, families in turn, from those that no stage was trained on."""
    return [prompt.text for prompt in prompts.draw_prompts(count, split="test", seed=seed)]


def show(models: Models, suggested: Sequence[str] = (), *, seed: int = 0) -> None:
    """Show the chat, or, when nobody is there, the answers to two suggested prompts."""
    from IPython.display import display

    suggested = list(suggested) or suggestions(seed=seed)
    if course.is_headless():
        print("Nobody sits here, so a stand-in asks the first two suggestions.")
        for prompt in suggested[:2]:
            display(side_by_side(models, prompt, seed))
    else:
        display(Chat(models, suggested, seed=seed).box)


class Chat:
    """The widget; `box` is what to display. Each question is asked with a seed of its own."""

    def __init__(self, models: Models, suggested: Sequence[str], *, seed: int = 0) -> None:
        import ipywidgets

        self._models, self._seed = models, seed
        self._turn = 0
        self.text = ipywidgets.Text(
            placeholder="Ask the village's assistant something",
            description="you:",
            layout={"width": "100%"},
        )
        self.ask_button = ipywidgets.Button(description="Ask", button_style="primary")
        self.temperature = ipywidgets.FloatSlider(
            value=1.0, min=LOWEST, max=HIGHEST, step=0.1, description="temperature"
        )
        self.suggested = [
            ipywidgets.Button(description=words, tooltip=words, layout={"width": "auto"})
            for words in suggested
        ]
        self.shown = ipywidgets.HTML()
        self.ask_button.on_click(lambda _: self.ask(self.text.value))
        for button in self.suggested:
            button.on_click(lambda pressed: self.choose(pressed.description))
        with warnings.catch_warnings():  # still the only way to hear the Enter key in a text box
            warnings.simplefilter("ignore", DeprecationWarning)
            self.text.on_submit(lambda _: self.ask(self.text.value))
        self.box = ipywidgets.VBox(
            [
                ipywidgets.HBox(self.suggested, layout={"flex_flow": "row wrap"}),
                self.text,
                ipywidgets.HBox([self.ask_button, self.temperature]),
                self.shown,
            ]
        )

    def choose(self, prompt: str) -> None:
        """Put a suggestion in the text box and ask it."""
        self.text.value = prompt
        self.ask(prompt)

    def ask(self, prompt: str) -> None:
        """Show what the models say. What they cannot answer is told in the same place."""
        self.ask_button.disabled = True
        self.shown.value = cards.line("The three models are answering.")
        try:
            answered = side_by_side(
                self._models, prompt, self._seed + self._turn, temperature=self.temperature.value
            )
            self.shown.value = answered._repr_html_()
            self._turn += 1
        except ValueError as error:
            self.shown.value = cards.line(cards.safe(str(error)))
        finally:
            self.ask_button.disabled = False
