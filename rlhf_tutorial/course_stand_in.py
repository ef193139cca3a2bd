"""The simulated annotator who ranks in the reader's place when nobody sits in front of the screen.

It goes through a `RankingSession` by the same calls as the widget: it looks at the replies from
the top of the screen to the bottom and submits positions. What it is itself is known, so tests
can compare. Once the session is done nothing is written any more: the file stays the same, and
with it every artefact that is made from it.

Simplified: it never skips, takes back, flags or notes anything.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from rlhf_tutorial import course
from rlhf_tutorial.ranking_session import RankingSession
from rlhf_tutorial.village.annotators import Annotator

SECONDS_A_WORD = 0.25  # people read about four words a second
SECONDS_TO_DECIDE = 2.0


class ReadingClock:
    """A clock for `RankingSession` that goes on only when somebody reads; counts in seconds."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def read(self, replies: Sequence[str]) -> None:
        """Let pass what it takes to read some replies and to decide."""
        words = sum(len(reply.split()) for reply in replies)
        self.now += SECONDS_TO_DECIDE + SECONDS_A_WORD * words


CLOCK = ReadingClock()  # the stand-in's own, handed to the session that it ranks in


def person() -> Annotator:
    """Who stands in: follows the guidelines, likes it happy and short, and errs at times."""
    return Annotator(
        name=course.STAND_IN,
        taste_weights={"happy": 0.10, "long": -0.05},
        temperature=0.06,
        position_bias=0.02,
        length_bias=0.0,
    )


def order_on_screen(
    annotator: Annotator, prompt: str, replies: Sequence[str], rng: random.Random
) -> list[list[int]]:
    """Positions on the screen as tiers, best first, drawn from Plackett and Luce.

    `replies` stand as on the screen, from the top. Utility plus the pull of the first place plus
    Gumbel noise, sorted, has the distribution of Plackett and Luce (see `Annotator.rank`).
    Replies of the same words are tied.
    """
    last = max(1, len(replies) - 1)
    liked: dict[str, float] = {}
    for place, reply in enumerate(replies):
        noise = -annotator.temperature * math.log(-math.log(rng.random()))
        bias = annotator.position_bias * (1 - place / last)
        bias += annotator.length_bias * len(reply.split()) / 30
        liked.setdefault(reply, annotator.utility(prompt, reply) + bias + noise)
    best_first = sorted(liked, key=liked.get, reverse=True)
    return [[i for i, reply in enumerate(replies) if reply == words] for words in best_first]


def rank_all(session: RankingSession, annotator: Annotator | None = None, *, seed: int = 0) -> int:
    """Rank all that is left of a session; returns how many answers were given, 0 when done.

    The same items with the same seed get the same orders, and a repeated item is judged afresh.
    """
    annotator = annotator or person()
    given = 0
    while session.current is not None:
        item = session.current
        turn = "again" if item.repeat_of else "first"
        rng = random.Random(f"{seed}/{annotator.name}/{item.id}/{turn}")
        CLOCK.read(session.replies)
        session.submit(order_on_screen(annotator, item.prompt, session.replies, rng))
        given += 1
    return given
