"""Ranking replies by hand: which item comes next, what was answered, what is on the disk.

A `RankingSession` holds all the logic and neither reads nor prints. A terminal or a widget shows
its current item and hands back positions on the screen. What was answered is read from the store
each time and never kept twice, so going on after a crash is the same as going on.

Simplified: items come in the order of the file, and the time of an item runs on through a pause.
"""

from __future__ import annotations

import math
import random
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from rlhf_tutorial.agreement import self_agreement
from rlhf_tutorial.preference_rules import is_list_of
from rlhf_tutorial.preferences import Ranking, new_id, utc_now
from rlhf_tutorial.ranking_items import Item, item_id
from rlhf_tutorial.store import RankingStore


class RankingSessionError(ValueError):
    """Something that a session cannot do now; the message says what to do instead."""


@dataclass(frozen=True)
class Progress:
    """How far a session has come; as text such as "12 of 50, about 3 min left"."""

    done: int
    total: int
    seconds_left: float | None  # None while nothing has been answered

    def __str__(self) -> str:
        text = f"{self.done} of {self.total}"
        if self.seconds_left is None or self.done >= self.total:
            return text
        if self.seconds_left < 60:
            return f"{text}, less than a minute left"
        return f"{text}, about {round(self.seconds_left / 60)} min left"


@dataclass(frozen=True)
class Left:
    """What a sitting that goes on still has before it, and what it will not show again."""

    not_ranked: list[Item]  # in the order of the list
    repeats: int  # items still to come back; which ones is not told, since that would bias
    skipped: list[tuple[Item, str]]  # each with the reason


class RankingSession:
    """One person's way through a list of items, each answer on the disk before the next is shown.

    Attributes:
        current: the item to rank now, None when all is done.
        shown: for each position on the screen, the reply's index in canonical order.
        note: text that goes with the answer to the current item; `set_note` changes it.
        flags: marks that go with it, such as "harmful"; `flag` sets them and takes them off.
        unsaved: an answer that the store refused, kept for `retry`; else None.
        store: where answers go; `reopen` changes it.
    """

    def __init__(
        self,
        items: Iterable[Item],
        annotator: str,
        store: RankingStore,
        *,
        seed: int = 0,
        repeat: float = 0.0,
        guideline_version: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`repeat` is the share of ranked items that come back; raises `RankingSessionError`."""
        if not isinstance(annotator, str) or not annotator.strip():
            raise RankingSessionError("the annotator needs a name; a pseudonym will do")
        if not 0 <= repeat <= 1:
            raise RankingSessionError(f"repeat is {repeat}: it must be from 0 to 1")
        self.annotator = annotator
        self.unsaved: Ranking | None = None
        # By prompt and replies, as answers are found in the file: an item may have any id.
        self._items = {_key(item): item for item in items}
        self.store = store
        self._seed = seed
        self._repeat = repeat
        self._guideline_version = guideline_version
        self._clock = clock
        self._reopened: Item | None = None  # by undo, until it is answered
        self._show_next()

    @property
    def size(self) -> int:
        """How many different items there are, repeats left out."""
        return len(self._items)

    @property
    def replies(self) -> list[str]:
        """The replies of the current item from the top of the screen to the bottom."""
        return [self.current.replies[index] for index in self.shown] if self.current else []

    def submit(self, tiers: Sequence[int | Sequence[int]]) -> Ranking:
        """Save an order and go on to the next item; returns what was saved.

        Best first, by position on the screen counted from 0; positions in one list are tied, so
        `[2, [0, 1]]` puts the third reply first. When the store raises, the answer stays in
        `unsaved` and the item stays: submit again, or `retry`.
        """
        item = self._item_to_answer()
        by_place = [list(t) if isinstance(t, (list, tuple)) else [t] for t in tiers]
        places = [place for tier in by_place for place in tier]
        count = len(item.replies)
        if not all(by_place) or not is_list_of(places, int) or sorted(places) != [*range(count)]:
            raise RankingSessionError(f"expected each of the {count} replies in one place")
        return self._save(tiers=[[self.shown[place] for place in tier] for tier in by_place])

    def skip(self, reason: str) -> Ranking:
        """Save that the item was not ranked, and why; it is not shown again."""
        self._item_to_answer()
        if not reason.strip():
            raise RankingSessionError("a skip needs a reason: say why this cannot be ranked")
        return self._save(skip=reason)

    def retry(self) -> Ranking:
        """Hand the kept answer to the store again; the same record, so it is never doubled."""
        if self.unsaved is None:
            raise RankingSessionError("every answer is saved; there is nothing to try again")
        return self._append(self.unsaved)

    def try_again(self, open_store: Callable[[], RankingStore]) -> None:
        """Open the file anew, since it may have been moved, and save the kept answer once."""
        self.store.close()
        self.reopen(open_store())
        if self.unsaved is not None:
            self.retry()

    def reopen(self, store: RankingStore) -> None:
        """Go on with a store that was opened again, after its file was moved or the disk full."""
        self.store = store
        kept = self.unsaved
        if kept is None or kept.id in {record.id for record in store.records()}:
            # The refused line may have reached the file after all: then it is saved.
            self.unsaved = None
            before, begun = self.current, (self.note, self.flags)
            self._show_next()
            if self.current == before:
                self.note, self.flags = begun

    def undo(self) -> None:
        """Take the last answer back by appending a retraction; its item is current again.

        Nothing is rewritten. Its note and flags stand again, its order is to be given anew.
        Raises `RankingSessionError` when there is none, `StoreError` when the disk refuses.
        """
        self._expect_all_saved()
        if not self._mine:
            raise RankingSessionError("there is no answer to take back")
        last = self._mine[-1]
        self.store.retract(last.id, annotator=self.annotator)
        item = self._items[_key(last)]
        self._reopened = replace(item, repeat_of=last.repeat_of)
        self._show_next()
        self.note, self.flags = last.note, list(last.flags)

    def flag(self, name: str = "harmful") -> bool:
        """Mark the current item, or take the mark off again; True when it is marked now."""
        self._item_to_answer()
        self._expect_all_saved()
        if name in self.flags:
            self.flags.remove(name)
        else:
            self.flags.append(name)
        return name in self.flags

    def set_note(self, text: str) -> None:
        """Write something beside the current item; an empty text takes the note away."""
        self._item_to_answer()
        self._expect_all_saved()
        self.note = text

    def progress(self) -> Progress:
        """Answers given, answers to give, and the time left by the median of seconds so far."""
        total = len(self._items) + max(len(self._again), self._repeats_planned())
        done = len(self._first) + len(self._again)
        seconds = [record.seconds for record in self._mine]
        left = statistics.median(seconds) * (total - done) if seconds else None
        return Progress(done, total, left)

    def counts(self) -> dict[str, int]:
        """Items of this list that this person has ranked and skipped, and ranked once more."""
        skipped = sum(record.skip is not None for record in self._first.values())
        repeated = sum(record.skip is None for record in self._again.values())
        return {"ranked": len(self._first) - skipped, "skipped": skipped, "repeated": repeated}

    def what_is_left(self) -> Left:
        """Items not ranked yet, how many will come back, and what was skipped with the reasons."""
        first = self._first
        return Left(
            [item for key, item in self._items.items() if key not in first],
            max(0, self._repeats_planned() - len(self._again)),
            [(self._items[key], r.skip) for key, r in first.items() if r.skip is not None],
        )

    def agreement(self) -> dict[str, float] | None:
        """The row of `agreement.self_agreement`; None before an item was ranked twice."""
        return self_agreement(self._mine).get(self.annotator)

    def _show_next(self) -> None:
        self._mine: list[Ranking] = []  # this person's answers to items of the list
        self._first: dict[str, Ranking] = {}  # the first answer to each item
        self._again: dict[str, Ranking] = {}  # the answers to items that came back
        for record in self.store.rankings():
            # The key once for each answer: over a long file, this is what takes time.
            if record.annotator != self.annotator or (key := _key(record)) not in self._items:
                continue
            self._mine.append(record)
            if record.repeat_of is None:
                self._first.setdefault(key, record)
            else:
                self._again[key] = record
        self.current = self._next_item()
        self.shown: list[int] = []
        if self.current is not None:
            again = "" if self.current.repeat_of is None else "/again"
            # From annotator and item alone: an item that is reopened looks as it did before.
            count = len(self.current.replies)
            self.shown = self._random_for(_key(self.current) + again).sample(range(count), count)
        self.note = ""
        self.flags: list[str] = []
        self._started = self._clock()

    def _next_item(self) -> Item | None:
        first, again = self._first, self._again
        if self._reopened is not None:
            answered = first if self._reopened.repeat_of is None else again
            if _key(self._reopened) not in answered:
                return self._reopened
            self._reopened = None
        for key, item in self._items.items():
            if key not in first:
                return item
        if len(again) >= self._repeats_planned():
            return None
        # By a number drawn for each item, so that the choice does not change as repeats are done.
        waiting = [key for key, r in first.items() if r.skip is None and key not in again]
        waiting.sort(key=lambda key: self._random_for(key).random())
        return replace(self._items[waiting[0]], repeat_of=first[waiting[0]].id)

    def _random_for(self, purpose: str) -> random.Random:
        # ascii(), since a name with a broken surrogate cannot be a seed.
        return random.Random(f"{self._seed}/{ascii(self.annotator)}/{purpose}")

    def _repeats_planned(self) -> int:
        skipped = sum(record.skip is not None for record in self._first.values())
        return math.floor(self._repeat * (len(self._items) - skipped) + 0.5)

    def _save(self, **answer: object) -> Ranking:
        # What is submitted again after a failure keeps its id, so that it cannot stand twice.
        kept = self.unsaved
        record = Ranking(
            id=kept.id if kept else new_id(),
            prompt=self.current.prompt,
            replies=self.current.replies,
            shown=self.shown,
            flags=self.flags,
            note=self.note,
            annotator=self.annotator,
            seconds=kept.seconds if kept else round(max(0.0, self._clock() - self._started), 1),
            model=self.current.model,
            time=kept.time if kept else utc_now(),
            guideline_version=self._guideline_version,
            repeat_of=self.current.repeat_of,
            **answer,
        )
        return self._append(record.validate())

    def _append(self, record: Ranking) -> Ranking:
        self.unsaved = record  # until the store has it, also when an interrupt comes in between
        self.store.append(record)
        self.unsaved = None
        self._show_next()
        return record

    def _item_to_answer(self) -> Item:
        if self.current is None:
            raise RankingSessionError("all items are done; there is nothing left to rank")
        return self.current

    def _expect_all_saved(self) -> None:
        if self.unsaved is not None:
            raise RankingSessionError("the last answer is not saved yet: try that again first")


def _key(thing: Item | Ranking) -> str:
    """What an item and the answers to it have in common."""
    return item_id(thing.prompt, thing.replies)
