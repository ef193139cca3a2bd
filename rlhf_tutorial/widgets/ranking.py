"""The ranking widget: a thin view, drawn in the browser by `ranking.js`, of a ranking session.

The browser gets the state of the `Desk` as one trait and sends back messages. Nothing is kept in
the browser but an order that is not submitted yet, so reloading the page loses no answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import anywidget
import traitlets

from rlhf_tutorial.ranking_session import RankingSession
from rlhf_tutorial.store import RankingStore
from rlhf_tutorial.widgets.desk import Desk
from rlhf_tutorial.widgets.guidelines import GUIDELINES, HARMFUL
from rlhf_tutorial.widgets.static_html import item_as_html, item_as_text

HERE = Path(__file__).parent


class RankingWidget(anywidget.AnyWidget):
    """Shows a session's current item and saves what the reader answers.

    Attributes:
        desk: what is between the session and the browser; `desk.session` is the session.
        state: what `Desk.state` returned last.
        guidelines: what the guideline panel says; `open` tells whether it is open at first.
    """

    _esm = "\n".join(
        (HERE / name).read_text(encoding="utf-8")
        for name in (
            "ranking_order.js",
            "ranking_draw.js",
            "ranking_drag.js",
            "ranking_keys.js",
            "ranking.js",
        )
    )
    _css = HERE / "ranking.css"
    state = traitlets.Dict().tag(sync=True)
    guidelines = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        open_session: Callable[[], RankingSession],
        open_store: Callable[..., RankingStore] = RankingStore,
        *,
        guidelines: bool = True,
    ) -> None:
        self.desk = Desk(open_session, open_store)
        about = {
            "axes": [asdict(guideline) for guideline in GUIDELINES],
            "harmful": HARMFUL,
            "open": guidelines,
        }
        super().__init__(state=self.desk.state(), guidelines=about)
        self.on_msg(self._on_message)

    @property
    def session(self) -> RankingSession | None:
        """The session, None as long as its file could not be opened."""
        return self.desk.session

    def _on_message(self, _widget: object, message: dict, _buffers: list) -> None:
        if message.get("kind") == "hurry":  # see ranking.js
            return
        self.desk.handle(message)
        self.state = self.desk.state()

    def _repr_mimebundle_(self, **kwargs: object) -> tuple[dict, dict]:
        """The widget, and the item as plain HTML and text where no widget can be shown."""
        data, metadata = super()._repr_mimebundle_(**kwargs)
        data["text/html"] = item_as_html(self.session)
        data["text/plain"] = item_as_text(self.session)
        return data, metadata
