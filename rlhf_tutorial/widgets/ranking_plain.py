"""Ranking with the text field and buttons of ipywidgets: where the ranking widget cannot be shown.

The order is typed as in the terminal, `2=1 3 4`. All that counts is done by the same `Desk`.
"""

from __future__ import annotations

import html
from collections.abc import Callable

import ipywidgets

from rlhf_tutorial.ranking_session import RankingSession, RankingSessionError
from rlhf_tutorial.store import RankingStore
from rlhf_tutorial.typed_order import parse_order
from rlhf_tutorial.widgets.desk import Desk
from rlhf_tutorial.widgets.static_html import item_as_html


class PlainRanking(ipywidgets.VBox):
    """The current item as text, one field for the order, one for words, and buttons."""

    def __init__(
        self,
        open_session: Callable[[], RankingSession],
        open_store: Callable[..., RankingStore] = RankingStore,
    ) -> None:
        self.desk = Desk(open_session, open_store)
        self.item = ipywidgets.HTML()
        self.told = ipywidgets.HTML()
        self.order = ipywidgets.Text(
            description="Best first", placeholder="2=1 3 4 means: 2 and 1 tied, then 3, then 4"
        )
        self.words = ipywidgets.Text(description="Note", placeholder="or the reason of a skip")
        self.buttons = {
            "submit": _button("Submit", self._submit, "primary"),
            "skip": _button("Skip", lambda _: self._send("skip", reason=self.words.value)),
            "undo": _button("Previous item", lambda _: self._send("undo", note=self.words.value)),
            "flag": _button("Harmful", lambda _: self._send("flag", name="harmful")),
            "retry": _button("Try again", lambda _: self._send("retry"), "warning"),
        }
        super().__init__(
            [
                self.item,
                self.order,
                self.words,
                ipywidgets.HBox(list(self.buttons.values())),
                self.told,
            ]
        )
        self._draw()

    @property
    def session(self) -> RankingSession | None:
        """The session, None as long as its file could not be opened."""
        return self.desk.session

    def _submit(self, _button: object) -> None:
        try:
            tiers = parse_order(self.order.value, len(self.desk.state().get("replies", [])))
        except RankingSessionError as error:
            self._tell(str(error))
            return
        self._send("submit", tiers=tiers, note=self.words.value)

    def _send(self, kind: str, **about: object) -> None:
        turn = self.desk.turn
        self.desk.handle({"kind": kind, "turn": turn, **about})
        if self.desk.turn != turn:
            self.order.value = ""
            self.words.value = self.desk.state().get("note", "")
        self._draw()

    def _draw(self) -> None:
        state = self.desk.state()
        self.item.value = item_as_html(self.desk.session)
        asks = "replies" in state and not state.get("kept")
        for name in ("submit", "skip", "flag"):
            self.buttons[name].disabled = not asks
        self.buttons["undo"].disabled = not state.get("canUndo") or state.get("kept", False)
        self.buttons["retry"].layout.display = None if state["canRetry"] else "none"
        self.buttons["flag"].icon = "check" if "harmful" in state.get("flags", []) else ""
        self._tell(state["error"] or " ".join(state.get("summary", [])) or state.get("rest", ""))

    def _tell(self, text: str) -> None:
        self.told.value = f"<p>{html.escape(text)}</p>" if text else ""


def _button(label: str, action: Callable[[object], None], style: str = "") -> ipywidgets.Button:
    button = ipywidgets.Button(description=label, button_style=style)
    button.on_click(action)
    return button
