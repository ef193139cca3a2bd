"""The blind vote: two replies without names, left, right, a tie or both bad; then the names.

A `VoteSession` holds all the logic and neither reads nor prints. A widget shows its current pair
and hands back one of `CHOICES`; a stand-in does the same through `vote_all`. Votes are records of
`preferences.Ranking` in a `RankingStore`: each is on the disk before the next pair shows, nothing
is rewritten, and the file can be used as preferences later. It names no model: replies stand in
it as they stood on the screen, so that looking into the file does not end the blindness.

A win rate counts a win as one, a tie and "both bad" as a half, a loss as nothing. Its interval is
Wilson's. Half points make votes vary less than the coin tosses it assumes, so it is a little wide.

Simplified: votes are taken as independent. Pairs from one template are not quite
(`evaluation.clustered_interval` shows what to do where there are many).
"""

from __future__ import annotations

import itertools
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rlhf_tutorial.preferences import Ranking, new_id, utc_now
from rlhf_tutorial.ranking_items import item_id
from rlhf_tutorial.store import RankingStore
from rlhf_tutorial.vote_intervals import VoteError, votes_needed, wilson_interval

__all__ = ["CHOICES", "Pair", "VoteError", "VoteResult", "VoteSession", "chooser", "vote_all"]

CHOICES = ("left", "right", "tie", "both_bad")
BOTH_BAD = "both_bad"  # the flag that tells "both bad" from a tie in the file
TIERS = {"left": [[0], [1]], "right": [[1], [0]], "tie": [[0, 1]], "both_bad": [[0, 1]]}
ENDED = "the vote was ended here"  # why the remaining pairs have no vote


@dataclass(frozen=True)
class Pair:
    """What is on the screen: a prompt and two replies, of which nobody says who wrote which."""

    prompt: str
    left: str
    right: str


@dataclass(frozen=True)
class VoteResult:
    """What came out, names revealed; `mean` is the win rate of the first name over the second."""

    names: tuple[str, str]
    first_wins: int
    second_wins: int
    ties: int
    both_bad: int
    same: int  # pairs in which both said the same: ties that were not shown
    mean: float
    low: float
    high: float
    n: int  # all of the above together

    def __str__(self) -> str:
        first, second = self.names
        return (
            f"{first} was preferred {self.first_wins} times, {second} {self.second_wins} times, "
            f"ties {self.ties}, both bad {self.both_bad}, same words {self.same}. Win rate of "
            f"{first} over {second}: {self.mean:.2f} [{self.low:.2f}, {self.high:.2f}] from "
            f"{self.n} pairs (95 % interval; ties, both bad and same words count a half)."
        )


class VoteSession:
    """One person's blind vote over pairs of replies, each vote on the disk before the next pair.

    Attributes:
        current: the pair to vote on now, None when all is done.
        file: where votes go. The same file, items and voter go on where the vote stopped.
    """

    def __init__(
        self,
        items: Sequence[tuple[str, str, str]],
        names: tuple[str, str],
        file: Path | str,
        seed: int = 0,
        *,
        voter: str = "reader",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin, or go on where the file ends.

        Args:
            items: (prompt, reply of the first model, reply of the second), one for each prompt.
            names: the two models; they are told by `result` only.
            file: a JSON Lines file of its own, not that of the rankings.
            seed: decides, for each pair, which reply stands on the left.
            voter: a pseudonym; votes of others in the same file are left alone.

        Raises:
            VoteError: no items, two that are equal, or names that do not differ.
            PreferenceError: a prompt or a file that breaks the rules of the store.
        """
        if not items:
            raise VoteError("no pairs to vote on: give at least one (prompt, reply, reply)")
        if len(names) != 2 or names[0] == names[1]:
            raise VoteError(f"names are {names!r}: expected those of two different models")
        self._names = (names[0], names[1])
        self._items: dict[str, tuple[str, str, str]] = {}
        for number, item in enumerate(items):
            key = _key(*item)
            if key in self._items:
                raise VoteError(f"item {number} stands in the list twice: give each pair once")
            self._items[key] = tuple(item)
        self._same = sum(first == second for _, first, second in self._items.values())
        self.file = Path(file)
        self._seed, self._voter, self._clock = seed, voter, clock
        self._revealed = False
        self._show_next()

    def vote(self, choice: str) -> None:
        """Save a vote on the current pair and go on to the next.

        Raises:
            VoteError: all is done, or the choice is none of `CHOICES`.
            StoreError: the disk refused; the pair stays, vote again.
        """
        if self.current is None:
            raise VoteError("all pairs are done: see result()")
        if choice not in CHOICES:
            raise VoteError(f"{choice!r} is no vote: choose one of {', '.join(CHOICES)}")
        flags = [BOTH_BAD] if choice == "both_bad" else []
        self._append(self.current, tiers=TIERS[choice], flags=flags)
        self._show_next()

    def undo(self) -> None:
        """Take back what was done last, a vote or the end of the vote, by appending retractions.

        The pair of a vote is current again; after an end, the first pair that it left without one.

        Raises:
            VoteError: there is none, or the names are known already.
            StoreError: the disk refused; undo again.
        """
        if self._revealed:
            raise VoteError("the names are known, so the vote is closed: begin another one")
        with RankingStore(self.file) as store:
            # What stands now, for another window may have taken something back meanwhile.
            newest_first = list(reversed(self._standing(store).values()))
            # One press ended the vote for many pairs, so one press takes all of that back.
            taken = list(itertools.takewhile(lambda r: r.skip == ENDED, newest_first))
            taken = taken or [r for r in newest_first[:1] if r.skip is None]
            if not taken:
                raise VoteError("there is no vote to take back")
            for record in taken:
                store.retract(record.id, annotator=self._voter)
        self._show_next()

    def finish(self) -> None:
        """End the vote before all pairs are done: the rest are stored as skipped; `undo` reopens.

        Raises:
            StoreError: the disk refused; finish again.
        """
        while self.current is not None:
            self._append(self.current, skip=ENDED)
            self._show_next()

    @property
    def done(self) -> int:
        """Votes given so far."""
        return sum(record.skip is None for record in self._votes.values())

    @property
    def total(self) -> int:
        """Pairs to vote on; those in which both models said the same are not shown."""
        return len(self._items) - self._same

    def still_needed(self, width: float = 0.2) -> int:
        """Votes still needed for an interval of this width, were they to fall as those so far.

        The rate so far is drawn to a half by two votes for each side (Agresti and Coull, 1998), for
        the first few say little. It tells nothing about who leads: 0.3 needs as many as 0.7.
        """
        points = self._points()
        rate = (sum(points) + 2) / (len(points) + 4)
        return max(0, votes_needed(width, rate) - len(points))

    def result(self) -> VoteResult:
        """Win rate, interval and names. After this, this session takes nothing back.

        Raises:
            VoteError: pairs are left (vote on, or `finish` first), or nothing was voted on.
        """
        if self.current is not None:
            left = self.total - self.done
            raise VoteError(f"{left} pairs are left: vote on them or finish() first")
        points = self._points()
        if not points:
            raise VoteError("no vote was given, so there is no win rate: begin another vote")
        self._revealed = True
        counts = Counter(self._outcome(record) for record in self._votes.values())
        mean = sum(points) / len(points)
        low, high = wilson_interval(mean, len(points))
        return VoteResult(
            names=self._names,
            first_wins=counts["first"],
            second_wins=counts["second"],
            ties=counts["tie"],
            both_bad=counts["both_bad"],
            same=self._same,
            mean=mean,
            low=low,
            high=high,
            n=len(points),
        )

    def _show_next(self) -> None:
        """Read what the file holds, then choose the next pair: going on is beginning again."""
        with RankingStore(self.file) as store:
            self._votes = self._standing(store)
        self.current = None
        for key, (prompt, first, second) in self._items.items():
            if key not in self._votes and first != second:
                swapped = random.Random(f"{self._seed}/{key}").random() < 0.5
                self.current = Pair(prompt, *((second, first) if swapped else (first, second)))
                break
        self._started = self._clock()

    def _standing(self, store: RankingStore) -> dict[str, Ranking]:
        """This voter's votes on the session's items, in the order in which they were given."""
        mine = [r for r in store.rankings() if r.annotator == self._voter and len(r.replies) == 2]
        found = {_key(record.prompt, *record.replies): record for record in mine}
        return {key: record for key, record in found.items() if key in self._items}

    def _append(self, pair: Pair, **answer: object) -> None:
        record = Ranking(
            id=new_id(),
            prompt=pair.prompt,
            replies=[pair.left, pair.right],
            annotator=self._voter,
            seconds=round(max(0.0, self._clock() - self._started), 1),
            time=utc_now(),
            **answer,
        )
        with RankingStore(self.file) as store:
            # Another window may have voted on this pair meanwhile: one vote is enough.
            if _key(pair.prompt, pair.left, pair.right) not in self._standing(store):
                store.append(record)

    def _outcome(self, record: Ranking) -> str:
        """first, second, tie, both_bad, or ended."""
        if record.skip is not None:
            return "ended"
        if len(record.tiers) == 1:
            return "both_bad" if BOTH_BAD in record.flags else "tie"
        best = record.replies[record.tiers[0][0]]
        first = self._items[_key(record.prompt, *record.replies)][1]
        return "first" if best == first else "second"

    def _points(self) -> list[float]:
        """What each counted pair gives the first model: 1, a half or 0."""
        worth = {"first": 1.0, "second": 0.0, "tie": 0.5, "both_bad": 0.5}
        outcomes = [self._outcome(record) for record in self._votes.values()]
        return [worth[o] for o in outcomes if o in worth] + [0.5] * self._same


def vote_all(session: VoteSession, choose: Callable[[Pair], str]) -> None:
    """Vote on all remaining pairs with a function in place of a person."""
    while session.current is not None:
        session.vote(choose(session.current))


def chooser(
    utility: Callable[[str, str], float], *, tie_within: float = 0.02, bad_below: float = 0.3
) -> Callable[[Pair], str]:
    """A voter who goes by `utility(prompt, reply)`, a number from 0 to 1, for `vote_all`.

    Both below `bad_below` is both bad; closer than `tie_within` is a tie; else the higher wins.
    """

    def choose(pair: Pair) -> str:
        left, right = utility(pair.prompt, pair.left), utility(pair.prompt, pair.right)
        if max(left, right) < bad_below:
            return "both_bad"
        if abs(left - right) < tie_within:
            return "tie"
        return "left" if left > right else "right"

    return choose


def _key(prompt: str, reply: str, other: str) -> str:
    """The same whichever reply stands first, and on every machine."""
    return item_id(prompt, sorted([reply, other]))
