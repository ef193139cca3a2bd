"""Slips of the tongue: somebody says a wrong word, notices, and says the right one.

"Ada is the baker - no, the miller." Behind a wrong word a correction may follow, behind a right
one never. Whoever wants to foresee the correction must compare the word with what was said
before, or with what is true. That is how the documents teach a model to *check*: neither
stories nor wrong replies that nobody corrects do (docs/trials.md, "It learns to check").
"""

from __future__ import annotations

import random
import re

from rlhf_tutorial.village.families.base import Slots

SLIP = " - no, "  # stands between the wrong word and the right one
_SLOT = re.compile(r"((?:\b(?:the|a|my|your|of) )?)\{(\w+)\}")
_PRONOUNS = ("he", "him", "his", "He", "His")


def with_slips(wording: str, slots: Slots, wrong: Slots, rng: random.Random, share: float) -> str:
    """A wording with its slots filled, and a slip in ``share`` of those that can have one.

    Args:
        slots: the words that are meant.
        wrong: other words for the same slots. Where both say the same there is no slip.
    """

    def say(match: re.Match) -> str:
        article, key = match.groups()
        if not _differ(slots, wrong, key) or rng.random() >= share:
            return article + slots[key]
        return f"{article}{wrong[key]}{SLIP}{article}{slots[key]}"

    return _SLOT.sub(say, wording)


def mistakes(wording: str, slots: Slots, wrong: Slots) -> tuple[tuple[str, str], ...]:
    """What a reply in this wording says wrong, and what it should say, with their articles."""
    return tuple(
        (article + wrong[key], article + slots[key])
        for article, key in _SLOT.findall(wording)
        if _differ(slots, wrong, key)
    )


def _differ(slots: Slots, wrong: Slots, key: str) -> bool:
    return key not in _PRONOUNS and wrong.get(key, slots[key]) != slots[key]
