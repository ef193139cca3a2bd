"""Three knobs of PPO and a button that reruns a short training with them.

What is trained is handed in as a callable, so that the notebook keeps it in sight. When nobody sits
in front of the screen (`course.is_headless`), the runs so far are shown as a picture and
nothing is trained.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rlhf_tutorial import course, plotting_ppo
from rlhf_tutorial.widgets import cards

KL_COEFFICIENTS = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0)
CLIPS = (0.05, 0.1, 0.2, 0.4, 1000.0)  # the last one never clips
LEARNING_RATES = (3e-5, 1e-4, 3e-4, 1e-3, 3e-3)

Train = Callable[..., list[dict[str, Any]]]


def show(train: Train, first: Mapping[str, list[dict[str, Any]]]) -> Knobs | None:
    """Show the knobs above the runs so far; without a reader, the runs in `first` as a picture.

    `train(kl_coefficient=…, clip=…, learning_rate=…, on_step=…)` returns a history of PPO and calls
    `on_step(rows so far, steps)` after each step. `first` maps a run's name to its history.
    """
    from IPython.display import display

    if course.is_headless():
        print("Nobody sits here to turn the knobs, so this is the run from above.")
        course.show(
            plotting_ppo.training_panel(first),
            "Each run that you start with the knobs adds a line of another colour.",
        )
        return None
    knobs = Knobs(train, first)
    display(knobs.box)
    return knobs


class Knobs:
    """The widget; `box` is what to display, `runs` the histories by name, newest last."""

    def __init__(self, train: Train, first: Mapping[str, list[dict[str, Any]]]) -> None:
        import ipywidgets

        self._train = train
        self.runs = dict(first)
        self.kl_coefficient = _slider("KL coefficient", KL_COEFFICIENTS, 0.03)
        self.clip = _slider("clip", CLIPS, 0.2)
        self.learning_rate = _slider("learning rate", LEARNING_RATES, 3e-4)
        self.button = ipywidgets.Button(description="Train", button_style="primary")
        self.button.on_click(lambda _: self.run())
        self.said = ipywidgets.HTML(cards.line("Turn the knobs, then press Train."))
        self.picture = ipywidgets.Image(value=_picture(self.runs), format="png")
        self.box = ipywidgets.VBox(
            [
                self.kl_coefficient,
                self.clip,
                self.learning_rate,
                ipywidgets.HBox([self.button, self.said]),
                self.picture,
            ]
        )

    @property
    def newest(self) -> list[dict[str, Any]]:
        """The history of the last run."""
        return list(self.runs.values())[-1]

    def run(self) -> None:
        """Train with the knobs as they stand and draw the run beside the first and the last two."""
        chosen = {
            "kl_coefficient": self.kl_coefficient.value,
            "clip": self.clip.value,
            "learning_rate": self.learning_rate.value,
        }
        name = f"β {chosen['kl_coefficient']:g}, clip {chosen['clip']:g}, "
        name += f"rate {chosen['learning_rate']:g}"
        self.button.disabled = True
        try:
            history = self._train(**chosen, on_step=self._tell)
            self.runs.pop(name, None)
            self.runs[name] = history
            self.picture.value = _picture(self.shown())
            self.said.value = cards.line(f"Done: {cards.safe(name)}.")
        except ValueError as error:  # PPO names what went wrong, a collapse for instance
            self.said.value = cards.line(cards.safe(str(error)))
        finally:
            self.button.disabled = False

    def shown(self) -> dict[str, list[dict[str, Any]]]:
        """The first run and the newest three, which is as many as a picture can hold."""
        names = list(self.runs)
        return {name: self.runs[name] for name in [*names[:1], *names[1:][-3:]]}

    def _tell(self, rows: list[dict[str, Any]], steps: int) -> None:
        self.said.value = cards.line(f"Step {len(rows)} of {steps} …")


def _slider(name: str, values: tuple[float, ...], start: float):
    import ipywidgets

    options = [("off" if name == "clip" and value > 1 else f"{value:g}", value) for value in values]
    return ipywidgets.SelectionSlider(
        options=options,
        value=start,
        description=name,
        style={"description_width": "8em"},
        layout={"width": "30em"},
    )


def _picture(runs: Mapping[str, list[dict[str, Any]]]) -> bytes:
    return plotting_ppo.png(plotting_ppo.training_panel(runs))
