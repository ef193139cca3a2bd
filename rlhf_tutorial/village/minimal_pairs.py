"""Minimal pairs: two replies to one prompt that differ in a single fact."""

from __future__ import annotations

import random
from dataclasses import dataclass

from rlhf_tutorial.village.families import FAMILIES
from rlhf_tutorial.village.families.base import articles
from rlhf_tutorial.village.prompts import draw_prompts

ASKED = {"facts": 0.3, "errands": 0.7}  # share of pairs; a split has only some 100 fact prompts


@dataclass(frozen=True)
class MinimalPair:
    """A prompt with a right reply and one in the same wording in which one fact is changed."""

    prompt: str
    right: str
    wrong: str


def minimal_pairs(count: int = 200, *, split: str = "test", seed: int = 0) -> list[MinimalPair]:
    """About ``count`` pairs from prompts of a split, the same for the same seed."""
    rng = random.Random(f"minimal/{split}/{seed}")
    pairs = []
    asked = [
        prompt
        for family, share in ASKED.items()
        for prompt in draw_prompts(round(count * share), split=split, seed=seed, families=[family])
    ]
    for prompt in asked:
        family = FAMILIES[prompt.family]
        wording = rng.choice(family.replies[prompt.group]["right"])
        slots = dict(prompt.slots)
        right = wording.format_map(slots)
        wrong = wording.format_map(family.corrupt(prompt.group, slots, rng))
        if right != wrong:
            pairs.append(MinimalPair(prompt.text, _sentence(right), _sentence(wrong)))
    return pairs


def _sentence(text: str) -> str:
    return articles(text[0].upper() + text[1:])
