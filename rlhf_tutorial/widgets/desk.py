"""Between a ranking session and whatever shows it: messages in, one state out, errors in words.

A view sends messages such as `{"kind": "submit", "turn": 3, "tiers": [[1], [0, 2]]}` and draws the
state it gets back. Each item that is shown has a turn of its own, and a message that names another
turn is not obeyed: a key pressed twice, or a second window, cannot answer an item it did not show.
"""

from __future__ import annotations

import math
import statistics
import time
import warnings
from collections.abc import Callable

from rlhf_tutorial.preferences import PreferenceError
from rlhf_tutorial.prompt_turns import as_turns
from rlhf_tutorial.ranking_items import Item, item_id
from rlhf_tutorial.ranking_session import RankingSession, RankingSessionError
from rlhf_tutorial.store import RankingStore
from rlhf_tutorial.visible_text import pieces
from rlhf_tutorial.widgets.guidelines import GUIDELINES

THUMBS = {f"{guideline.axis}{sign}" for guideline in GUIDELINES for sign in "+-"}
FLAGS = {"harmful", *THUMBS}
SLOW = 2.0  # times the usual seconds, from where a rest is suggested
RECENT = 4  # items whose median counts as "now"
LOW_AGREEMENT = 0.7  # of the pairs of repeated items, below which a rest is suggested


class Desk:
    """What the views share; they keep nothing but a half-made order.

    Attributes:
        session: None as long as its file could not be opened.
        turn: counts the items shown; messages name it.
        error: what went wrong with the last message, else "".
        can_retry: whether opening the file again may help.
    """

    def __init__(
        self,
        open_session: Callable[[], RankingSession],
        open_store: Callable[..., RankingStore] = RankingStore,
    ) -> None:
        """`open_store` takes the path; it is called when a refused answer is tried again."""
        self._open_session = open_session
        self._open_store = open_store
        self.session: RankingSession | None = None
        self.turn = 0
        self._handled = 0
        self._shown: object = None
        self._begun: dict[tuple, tuple[str, list[str]]] = {}  # note and flags of items left by undo
        self.error, self.can_retry = "", False
        self._guard(self._open)
        self._count_turn()

    def handle(self, message: dict) -> None:
        """Obey one message; whatever goes wrong is told in the state and changes nothing else."""
        self._handled += 1
        kind = message.get("kind")
        stale = kind != "retry" and message.get("turn") != self.turn
        if stale or (self.session is None and kind != "retry"):
            return
        self._guard(lambda: self._obey(kind, message))
        self._count_turn()

    def state(self) -> dict:
        """All that a view shows, as plain JSON; `handled` differs after every message."""
        about = {
            "turn": self.turn,
            "handled": self._handled,
            "error": self.error,
            "canRetry": self.can_retry,
        }
        if self.session is None:
            return about
        session, item = self.session, self.session.current
        progress, taken = session.progress(), usual_seconds(session)
        about |= {
            "done": progress.done,
            "total": progress.total,
            "progress": str(progress),
            "usual": None if taken is None else round(taken),
            "canUndo": progress.done > 0,
            "kept": session.unsaved is not None,
            "rest": "",
        }
        if item is None:
            return about | {"summary": summary(session)}
        turns = as_turns(item.prompt)
        return about | {
            "rest": rest_hint(session),
            "prompt": [{"role": t["role"], "pieces": pieces(t["content"])} for t in turns],
            "replies": [pieces(reply) for reply in session.replies],
            "flags": list(session.flags),
            "note": session.note,
            "elapsed": round(time.monotonic() - self._since, 1),
        }

    def _obey(self, kind: str, message: dict) -> None:
        session = self.session
        if kind == "retry" and session is None:
            self._open()
        elif kind == "retry":
            session.try_again(lambda: self._open_store(session.store.path))
        elif kind == "submit":
            self._take_note(message)
            tiers = message.get("tiers")
            session.submit(tiers if isinstance(tiers, list) else [])
        elif kind == "skip":
            self._take_note(message)
            session.skip(str(message.get("reason", "")).strip())
        elif kind == "undo":
            self._go_back(message)
        elif kind == "flag":
            self._flag(str(message.get("name")))
        elif kind == "note":
            self._take_note(message)
        else:
            raise RankingSessionError(f"there is no message of the kind {str(kind)[:40]!r}")

    def _go_back(self, message: dict) -> None:
        """Undo; the note and flags of the item that is left wait until it is shown again."""
        session, left = self.session, self.session.current
        if left is not None:
            self._take_note(message)
        begun = (session.note, list(session.flags))
        session.undo()
        if left is not None:
            self._begun[_same_item(left)] = begun

    def _take_up_again(self) -> None:
        session = self.session
        if session is None or session.current is None:
            return
        note, flags = self._begun.pop(_same_item(session.current), ("", []))
        if note:
            session.set_note(note)
        for name in flags:
            if name not in session.flags:
                session.flag(name)

    def _flag(self, name: str) -> None:
        if name not in FLAGS:
            raise RankingSessionError(f"there is no flag {name[:40]!r}")
        opposite = name[:-1] + ("-" if name.endswith("+") else "+")
        if name in THUMBS and opposite in self.session.flags:
            self.session.flag(opposite)
        self.session.flag(name)

    def _take_note(self, message: dict) -> None:
        if "note" in message and message["note"] != self.session.note:
            self.session.set_note(str(message["note"]))

    def _open(self) -> None:
        self.session = self._open_session()

    def _guard(self, action: Callable[[], None]) -> None:
        """Do it; a refusal is kept in words, a warning of the store (a repaired file) as well."""
        self.error, self.can_retry = "", False
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            try:
                action()
            except RankingSessionError as error:
                self.error = str(error)
            except PreferenceError as error:
                self.error, self.can_retry = str(error), True
        if not self.error:
            self.error = "; ".join(str(warning.message) for warning in told)
        if self.session is not None and self.session.unsaved is not None:
            self.can_retry = True

    def _count_turn(self) -> None:
        now = None
        if self.session is not None:
            # The number of records too: an item that is taken back at once is a new turn.
            now = (self.session.current, len(self.session.store.records()))
        if self.turn == 0 or now != self._shown:
            self.turn += 1
            self._shown = now
            self._since = time.monotonic()
            self._take_up_again()


def _same_item(item: Item) -> tuple:
    # Not its own id, which need not be unique, nor that in `repeat_of`, which is another one when
    # the first answer was taken back.
    return (item_id(item.prompt, item.replies), item.repeat_of is not None)


def usual_seconds(session: RankingSession) -> float | None:
    """Median of this person's seconds an item; None before the first answer."""
    seconds = _seconds(session)
    return statistics.median(seconds) if seconds else None


def rest_hint(session: RankingSession) -> str:
    """A gentle word when a person slows down or contradicts their earlier answers; else ""."""
    own = session.agreement()
    if own is not None and own["pairs"] >= 6 and own["pairwise"] < LOW_AGREEMENT:
        return (
            f"Of the pairs shown twice you ordered {own['pairwise']:.0%} as before. "
            "Some are close calls; a short rest may help."
        )
    seconds = _seconds(session)
    before, now = seconds[:-RECENT], seconds[-RECENT:]
    if len(before) >= RECENT and statistics.median(now) > SLOW * statistics.median(before) + 2:
        return "The last items took you longer than those before. A short rest may help."
    return ""


def summary(session: RankingSession) -> list[str]:
    """What was done, when all is done: a sentence a line."""
    counts = session.counts()
    lines = [
        f"{counts['ranked']} items ranked, {counts['skipped']} skipped, "
        f"{counts['repeated']} ranked once more."
    ]
    own = session.agreement()
    if own is not None and own["pairs"] and not math.isnan(own["pairwise"]):
        lines.append(
            f"Where you saw an item twice, you ordered {own['pairwise']:.0%} "
            f"of {own['pairs']} pairs as before."
        )
    return [*lines, f"All of it is in {session.store.path}."]


def _seconds(session: RankingSession) -> list[float]:
    return [
        record.seconds
        for record in session.store.rankings()
        if record.annotator == session.annotator
    ]
