"""The blind vote as a widget: two cards without names and four buttons. Plain ipywidgets.

All logic is in `rlhf_tutorial.voting.VoteSession`; this file shows its current pair and hands back
what was pressed. When nobody sits in front of the screen, a stand-in presses through the same
session (`show`).
"""

from __future__ import annotations

from collections.abc import Callable

from rlhf_tutorial import course
from rlhf_tutorial.preference_rules import PreferenceError
from rlhf_tutorial.voting import Pair, VoteError, VoteSession, vote_all
from rlhf_tutorial.widgets import cards

LABELS = {
    "left": "Left is better",
    "right": "Right is better",
    "tie": "Equally good",
    "both_bad": "Both bad",
}
WIDTH = 0.2  # of the interval, whose missing votes are counted on the screen


def progress_line(session: VoteSession, width: float = WIDTH) -> str:
    """How far the vote has come, and how many votes a useful interval would still take."""
    still = session.still_needed(width)
    reach = f"{width / 2:.0%} to either side"
    need = f"about {still} more for an interval of {reach}" if still else f"enough for {reach}"
    return f"{session.done} of {session.total} votes; {need}."


def show(
    session: VoteSession,
    stand_in: Callable[[Pair], str],
    *,
    when_done: Callable[[], None] | None = None,
) -> None:
    """Show the vote; headless, `stand_in` votes on every pair, and that is said on the screen.

    Args:
        session: the vote, new or resumed.
        stand_in: a function from a pair to one of `voting.CHOICES`, such as `voting.chooser(...)`.
        when_done: called once when the reader asks for the names (not headless).
    """
    from IPython.display import display

    if course.is_headless():
        vote_all(session, stand_in)
        print(f"Nobody sits here, so a simulated stand-in voted. {progress_line(session)}")
    else:
        display(VoteView(session, when_done=when_done).box)


class VoteView:
    """The widget; `box` is what to display."""

    def __init__(
        self, session: VoteSession, *, when_done: Callable[[], None] | None = None
    ) -> None:
        import ipywidgets

        self._session, self._when_done = session, when_done
        self.pair, self.message = ipywidgets.HTML(), ipywidgets.HTML()
        self.progress = ipywidgets.Label()
        self.buttons = {
            choice: ipywidgets.Button(description=label) for choice, label in LABELS.items()
        }
        for choice, button in self.buttons.items():
            button.on_click(lambda _, choice=choice: self._do(lambda: session.vote(choice)))
        self.undo = ipywidgets.Button(description="Undo", icon="undo")  # a vote, or the end
        self.undo.on_click(lambda _: self._do(session.undo))
        self.finish = ipywidgets.Button(description="End the vote here")
        self.finish.on_click(lambda _: self._do(session.finish))
        self.names = ipywidgets.Button(description="Show the names", button_style="primary")
        self.names.on_click(lambda _: self._reveal())
        self.box = ipywidgets.VBox(
            [
                self.progress,
                self.pair,
                ipywidgets.HBox([*self.buttons.values()], layout={"flex_flow": "row wrap"}),
                ipywidgets.HBox([self.undo, self.finish, self.names]),
                self.message,
            ]
        )
        self._show()

    def _do(self, action: Callable[[], None]) -> None:
        """Vote, undo or finish, then show what follows; what cannot be done or saved is told."""
        try:
            action()
            self.message.value = ""
        except (VoteError, PreferenceError) as error:  # a vote that was not saved: press again
            self.message.value = cards.line(cards.safe(str(error)))
        self._show()

    def _show(self) -> None:
        current = self._session.current
        if current is None:
            is_whole = self._session.done == self._session.total
            voted = "Every pair has its vote." if is_whole else "The vote is ended."
            self.pair.value = cards.line(f"{voted} Who wrote what is still hidden.")
        else:
            both = [cards.card("left", current.left), cards.card("right", current.right)]
            asked = f"<strong>Which reply is better?</strong>\n{cards.safe(current.prompt)}"
            self.pair.value = cards.line(asked) + cards.row(both)
        for button in (*self.buttons.values(), self.finish):
            button.disabled = current is None
        self.names.disabled = current is not None
        self.progress.value = progress_line(self._session)

    def _reveal(self) -> None:
        try:
            text = str(self._session.result())
        except VoteError as error:
            text = str(error)
        else:
            self.undo.disabled = self.names.disabled = True
            if self._when_done is not None:
                self._when_done()
        self.message.value = cards.line(cards.safe(text))
