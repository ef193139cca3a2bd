"""Widgets for notebooks: ranking replies by hand.

`rank_items(items, file)` opens the reader's file and returns the widget; `rank(session)` does so
for a session that is already there, or for a function that opens one. Each is the last line of a
cell. Where anywidget is missing, or with `plain=True`, the same is shown with the buttons and text
fields of ipywidgets.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable
from pathlib import Path

from rlhf_tutorial.ranking_items import Item
from rlhf_tutorial.ranking_session import RankingSession
from rlhf_tutorial.store import RankingStore
from rlhf_tutorial.village.annotators import GUIDELINE_VERSION

__all__ = ["open_store", "rank", "rank_items"]

_opened: dict[Path, RankingStore] = {}  # by file, so that a cell can be run again


def rank(
    session: RankingSession | Callable[[], RankingSession],
    *,
    guidelines: bool = True,
    plain: bool = False,
):
    """The widget of a session; `guidelines` says whether their panel is open at first.

    With a function that opens the session, a file that cannot be opened is told in the widget,
    which offers to try again.
    """
    return _widget(session if callable(session) else lambda: session, guidelines, plain)


def rank_items(
    items: Iterable[Item],
    file: str | Path,
    annotator: str = "reader",
    *,
    repeat: float = 0.1,
    seed: int = 0,
    guidelines: bool = True,
    plain: bool = False,
):
    """Rank items into a file: goes on where it was left, also when the cell is run again.

    A file that another notebook holds, or that cannot be written, is told in the widget, which
    offers to try again.

    Args:
        items: what to rank, see `ranking_items.load_items`.
        file: the reader's preference file; made when missing.
        annotator: the name in the records; a pseudonym will do.
        repeat: share of the items that are shown once more at the end.
        seed: draws the order of the replies on the screen.
        guidelines: whether the guideline panel is open at first.
        plain: use ipywidgets only.
    """
    items = list(items)

    def open_session() -> RankingSession:
        return RankingSession(
            items,
            annotator,
            open_store(file),
            seed=seed,
            repeat=repeat,
            guideline_version=GUIDELINE_VERSION,
        )

    return _widget(open_session, guidelines, plain)


def open_store(file: str | Path) -> RankingStore:
    """The store of a file, taken over from an earlier widget of this kernel if one has it.

    Raises `StoreLockedError` when another notebook or program holds it, `StoreError` when it
    cannot be opened.
    """
    path = Path(file).resolve()
    if path in _opened:
        _opened.pop(path).close()
    _opened[path] = RankingStore(file)
    return _opened[path]


def _widget(open_session: Callable[[], RankingSession], guidelines: bool, plain: bool):
    if plain or importlib.util.find_spec("anywidget") is None:
        from rlhf_tutorial.widgets.ranking_plain import PlainRanking

        return PlainRanking(open_session, open_store)
    from rlhf_tutorial.widgets.ranking import RankingWidget

    return RankingWidget(open_session, open_store, guidelines=guidelines)
