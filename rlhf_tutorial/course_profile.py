"""What your rankings say about you: the village's side of `preference_profile`.

Replies are described by what the gold judge sees in them. The gold reward is a weighted sum of
parts, one an axis, and these parts are the features, so that fitted weights can be laid beside the
judge's own (`village.gold.WEIGHTS`). Two more features tell how a reader was pulled: the place on
the screen (1 at the top, 0 at the bottom) and the length (in units of 30 words).

Simplified: items that were shown once more are left out of the fit, since a remembered order is no
second opinion; matters of taste such as happy or eerie are not among the features, and what they
do to a ranking counts as noise.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rlhf_tutorial.agreement import compared_pairs
from rlhf_tutorial.course_profile_words import Agreement, sentences
from rlhf_tutorial.evaluation import clustered_interval
from rlhf_tutorial.preference_check import sound_repeats
from rlhf_tutorial.preference_profile import Profile, fit
from rlhf_tutorial.preferences import Ranking
from rlhf_tutorial.village.annotators import Annotator, colleagues
from rlhf_tutorial.village.gold import AXES, WEIGHTS, judge

PULLS = ("position", "length")
COMPARED = 6  # colleagues a reader is compared with; more would crowd the figure
WORDS_A_UNIT = 30  # of the length; `village.annotators` counts its length bias so, too


@dataclass(frozen=True)
class ReaderProfile:
    """Everything that the figure and the sentences show.

    Attributes:
        weights: of the six axes, of position and of length, in units of your own noise.
        oneself: on items ranked twice; None without any.
        colleagues: with each simulated colleague, who ranked the same items.
        seconds: for each ranking in the order of ranking, 0 where not recorded.
    """

    weights: Profile
    oneself: Agreement | None
    colleagues: list[Agreement]
    seconds: list[float]

    def judge_weights(self) -> dict[str, float]:
        """The gold judge's weights in your units: times the factor that brings them nearest.

        Nearest by squares, each divided by the variance of your weight; axes that no item tested
        are left out. A factor below 0 would turn the judge round, so it is 0 at least.
        """
        known = [self.weights.weights[axis] for axis in AXES]
        known = [weight for weight in known if not math.isnan(weight.estimate)]
        trust = {weight.name: weight.standard_error**-2 for weight in known}
        together = sum(trust[w.name] * w.estimate * WEIGHTS[w.name] for w in known)
        alone = sum(trust[w.name] * WEIGHTS[w.name] ** 2 for w in known)
        factor = max(0.0, together / alone) if alone else 0.0
        return {weight.name: factor * WEIGHTS[weight.name] for weight in known}

    def plain_words(self) -> list[str]:
        """What the rankings say, and what they cannot say, one sentence or two each."""
        return sentences(self.weights, self.oneself, self.colleagues, self.seconds)


def features(ranking: Ranking) -> np.ndarray:
    """(replies, 8) The axes' parts of the gold reward, then position and length."""
    prompt = prompt_text(ranking)
    place = {index: number for number, index in enumerate(ranking.shown)}
    last = len(ranking.replies) - 1
    rows = []
    for index, reply in enumerate(ranking.replies):
        axes = axis_parts(prompt, reply)
        rows.append([*axes, 1 - place[index] / last, len(reply.split()) / WORDS_A_UNIT])
    return np.array(rows)


def axis_parts(prompt: str, reply: str) -> list[float]:
    """What each axis adds to the gold reward, divided by its weight; 0 where it is not tested.

    The gold reward is the sum of these times `WEIGHTS`: the scores of the axes that a prompt tests,
    over the sum of their weights, and less in proportion when the reply can hardly be read.
    """
    scores = judge(prompt, reply)
    share = min(1.0, 2.0 * scores.clarity) / sum(WEIGHTS[axis] for axis in scores.applies)
    return [getattr(scores, axis) * share if axis in scores.applies else 0.0 for axis in AXES]


def prompt_text(ranking: Ranking) -> str:
    """The prompt, or what the user said last."""
    return ranking.prompt if isinstance(ranking.prompt, str) else ranking.prompt[-1]["content"]


def profile(
    rankings: Iterable[Ranking], *, people: Sequence[Annotator] | None = None, seed: int = 0
) -> ReaderProfile:
    """What one person's rankings say about them; skipped items are left out.

    Args:
        rankings: of one annotator, in the order of ranking.
        people: simulated colleagues to compare with; `COMPARED` of the course if not given.
        seed: of the colleagues' own rankings.

    Raises:
        ValueError: rankings of several people, or none that puts one reply above another.
    """
    ranked = [record for record in sound_repeats(rankings) if record.tiers]
    names = sorted({record.annotator for record in ranked})
    if len(names) > 1:
        raise ValueError(f"rankings of {len(names)} people ({', '.join(names)}): give one person's")
    first = [record for record in ranked if record.repeat_of is None]
    weights = fit(first, features, (*AXES, *PULLS))
    known = {record.id: record for record in ranked}
    twice = [(known[r.repeat_of], r) for r in ranked if r.repeat_of is not None]
    return ReaderProfile(
        weights=weights,
        oneself=agreement("yourself", twice),
        colleagues=with_colleagues(first, colleagues(COMPARED) if people is None else people, seed),
        seconds=[record.seconds for record in ranked],
    )


def with_colleagues(
    rankings: Sequence[Ranking], people: Sequence[Annotator], seed: int
) -> list[Agreement]:
    """Agreement with each colleague, who ranks the same items in the same order of items."""
    found = []
    for person in people:
        theirs = [
            person.rank(prompt_text(mine), mine.replies, seed=f"profile-{seed}", item=number)
            for number, mine in enumerate(rankings)
        ]
        both = [(m, replace(t, prompt=m.prompt)) for m, t in zip(rankings, theirs, strict=True)]
        found.append(agreement(person.name, both))
    return [row for row in found if row is not None]


def agreement(name: str, both: Sequence[tuple[Ranking, Ranking]]) -> Agreement | None:
    """How alike two rankings of each item are; None when no pair is ordered by both."""
    alike: list[float] = []
    items: list[int] = []
    for number, (one, other) in enumerate(both):
        same, compared = compared_pairs(one, other)
        alike += [1.0] * same + [0.0] * (compared - same)
        items += [number] * compared
    if not alike:
        return None
    row = clustered_interval(alike, items)
    return Agreement(name, row["mean"], row["low"], row["high"], row["n"], len(set(items)))
