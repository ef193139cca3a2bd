"""Simulated people who rank replies: noisy, biased, tired, and each with their own taste.

A person has weights over the judge's axes and over a few matters of taste. Their utility
of a reply is the weighted sum, and a ranking is drawn by Plackett and Luce: the best is
chosen with probability proportional to exp(utility / temperature), then the best of the
rest, and so on (Plackett 1975; Luce 1959). Replies shown first look better, longer ones
look more serious, and both grow with fatigue, as does the noise.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from rlhf_tutorial.preferences import Ranking
from rlhf_tutorial.village.gold import WEIGHTS, judge
from rlhf_tutorial.village.prompts import parse

GUIDELINE_VERSION = "village-1"
COLLEAGUES = 24  # who share the ranking; with six, the slants of six people became the model's

_HAPPY = re.compile(
    r"\b(?:merry|danced?|clapped|laugh\w*|sing|smile|sunshine|gold|glows|friends|pudding|biscuit"
    r"|warm|wave[sd]?|play)\b"
)
_EERIE = re.compile(
    r"\b(?:midnight|mist|shadows?|whisper|grave|ghost|silent|beware|dying|scratched|hums|alone|dark"
    r"|steps|watching|never slept)\b"
)
_FLOWERY = re.compile(r"\b(?:like gold|soft|swallows|stars|glows|ribbon|candle|creep|lies)\b")


def style(reply: str) -> dict[str, float]:
    """Matters of taste in a reply: happy, eerie, flowery (0 or 1) and long (words / 30)."""
    low = reply.lower()
    return {
        "happy": float(_HAPPY.search(low) is not None),
        "eerie": float(_EERIE.search(low) is not None),
        "flowery": float(_FLOWERY.search(low) is not None),
        "long": len(low.split()) / 30,
    }


@dataclass(frozen=True)
class Annotator:
    """One simulated person.

    Attributes:
        name: a pseudonym.
        axis_weights: weight of each gold axis that a prompt tests (the judge's own by default).
            Negative for a dislike: then the opposite of the axis is what has worth.
        taste_weights: weight of each entry of ``style``; on matters of taste it decides.
        temperature: noise of the choice, in units of utility. At 0.08 two replies whose
            utilities differ by 0.1 are ordered as the utilities say in 78 % of cases.
        position_bias: utility that the first place on the screen adds over the last.
        length_bias: utility that 30 words add.
        fatigue: share by which noise and biases have grown at item 100 of a session.
    """

    name: str
    axis_weights: dict[str, float] = field(default_factory=lambda: dict(WEIGHTS))
    taste_weights: dict[str, float] = field(default_factory=dict)
    temperature: float = 0.08
    position_bias: float = 0.02
    length_bias: float = 0.02
    fatigue: float = 0.3

    def utility(self, prompt: str, reply: str) -> float:
        """What this person thinks of a reply, without noise or bias; about 0 to 1."""
        scores = judge(prompt, reply)
        weights = {axis: self.axis_weights.get(axis, 0.0) for axis in scores.applies}
        # A dislike is a like of the opposite. Taken off instead, it would make worths negative:
        # unclear replies, whose worth shrinks, would gain by it, and so would a plain story over a
        # rude one, since only the rude one is weighed by its tone.
        likes = {
            axis: getattr(scores, axis) if weight > 0 else 1.0 - getattr(scores, axis)
            for axis, weight in weights.items()
        }
        total = sum(map(abs, weights.values())) or 1.0
        worth = sum(abs(weight) * likes[axis] for axis, weight in weights.items()) / total
        worth *= min(1.0, 2.0 * scores.clarity)
        parsed = parse(prompt)
        reach = 1.0 if parsed is not None and parsed.kind == "taste" else 0.3
        looks = style(reply)
        return worth + reach * sum(w * looks[key] for key, w in self.taste_weights.items())

    def rank(
        self, prompt: str, replies: Sequence[str], *, seed: str, item: int = 0, model: str = ""
    ) -> Ranking:
        """Ranks 2 to 5 replies: shows them in a random order and draws from Plackett-Luce.

        Args:
            prompt: the prompt's text.
            replies: replies in canonical order.
            seed: anything; the same seed gives the same ranking.
            item: number of items ranked before in this session (for fatigue).
            model: which model wrote the replies, for the record.
        """
        rng = random.Random(f"{seed}/{self.name}/{item}")
        shown = rng.sample(range(len(replies)), len(replies))
        tired = 1.0 + self.fatigue * item / 100
        looks = {}
        for place, index in enumerate(shown):
            bias = self.position_bias * (1 - place / max(1, len(shown) - 1))
            bias += self.length_bias * len(replies[index].split()) / 30
            looks[index] = self.utility(prompt, replies[index]) + tired * bias
        # Plackett-Luce by Gumbel noise: the order of utility + noise has its distribution.
        scale = self.temperature * tired
        noisy = {i: u - scale * math.log(-math.log(rng.random())) for i, u in looks.items()}
        order = sorted(noisy, key=noisy.get, reverse=True)
        words = sum(len(reply.split()) for reply in replies)
        return Ranking(
            id=f"{self.name}-{seed}-{item}".replace("/", "-").replace(" ", "-"),
            prompt=prompt,
            replies=list(replies),
            shown=shown,
            tiers=_tiers(order, replies),
            annotator=self.name,
            seconds=round(2.0 + 0.25 * words * rng.uniform(0.7, 1.3), 1),
            model=model,
            guideline_version=GUIDELINE_VERSION,
        )


def _tiers(order: Sequence[int], replies: Sequence[str]) -> list[list[int]]:
    """Best first; replies with the very same words share the tier of the better one."""
    tiers: list[list[int]] = []
    tier_of: dict[str, list[int]] = {}
    for index in order:
        if replies[index] in tier_of:
            tier_of[replies[index]].append(index)
        else:
            tier = [index]
            tier_of[replies[index]] = tier
            tiers.append(tier)
    return tiers


def colleagues(count: int = COLLEAGUES, *, seed: int = 0) -> list[Annotator]:
    """Simulated colleagues: all follow the guidelines, each with a slant of their own.

    The first few are the same people whatever the `count`.
    """
    rng = random.Random(f"colleagues/{seed}")
    people = []
    for number in range(count):
        weights = {axis: weight * rng.uniform(0.6, 1.4) for axis, weight in WEIGHTS.items()}
        tastes = {key: rng.uniform(-0.15, 0.15) for key in ("happy", "eerie", "flowery", "long")}
        people.append(
            Annotator(
                name=f"colleague-{number + 1}",
                axis_weights=weights,
                taste_weights=tastes,
                temperature=rng.uniform(0.05, 0.11),
                position_bias=rng.uniform(0.0, 0.04),
                length_bias=rng.uniform(-0.02, 0.06),
            )
        )
    return people


def rank_all(
    items: Sequence[tuple[str, Sequence[str]]],
    people: Sequence[Annotator],
    *,
    seed: int,
    model: str = "",
) -> list[Ranking]:
    """Shares items out among people in turn; item k of a person is the k-th they see."""
    return [
        people[number % len(people)].rank(
            prompt, replies, seed=str(seed), item=number // len(people), model=model
        )
        for number, (prompt, replies) in enumerate(items)
    ]
