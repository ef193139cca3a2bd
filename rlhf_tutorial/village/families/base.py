"""What a family of prompts is: templates, slots to fill them, and the replies people give.

A family writes prompts and replies. It never judges them: that is ``village/gold.py``,
which sees only texts.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

Slots = dict[str, str]


@dataclass(frozen=True)
class Template:
    """One wording of a prompt. ``group`` names the slots it needs and the replies it gets.

    ``held_out`` templates are kept from rankings, reward model and PPO, and asked again at
    evaluation.
    """

    text: str
    group: str
    held_out: bool = False


@dataclass(frozen=True)
class Family:
    """A family of prompts with everything that people in the village say to them.

    Attributes:
        name: short name, as in tables.
        templates: every wording; its id is ``name/group/number``.
        draw: ``(group, rng) -> slots``.
        combination: the slots that together must differ between splits. Only those that
            stand in the wording count, but for names in ``hidden``.
        replies: group -> content -> wordings. Contents are ``right``, ``wrong``, ``vague``,
            ``refuse``, ``comply``, ``admit``, ``invent``, ...
        fill: slots that are drawn anew for each reply (the items of a list, say).
        corrupt: slots of a wrong reply, given the right ones.
        kinds: group -> kind (``plain`` unless said otherwise).
        manners: false where openings and closings would break what was asked for.
    """

    name: str
    templates: tuple[Template, ...]
    draw: Callable[[str, random.Random], Slots]
    combination: tuple[str, ...]
    replies: Mapping[str, Mapping[str, tuple[str, ...]]]
    fill: Callable[[str, Slots, random.Random], Slots] = lambda group, slots, rng: slots
    corrupt: Callable[[str, Slots, random.Random], Slots] = lambda group, slots, rng: slots
    kinds: Mapping[str, str] = field(default_factory=dict)
    manners: bool = True
    hidden: tuple[str, ...] = ()

    def kind(self, group: str) -> str:
        """The kind of prompt that a group makes: plain, harmful, lookalike, ..."""
        return self.kinds.get(group, "plain")


_ARTICLE = re.compile(r"\b([Aa]) (?=[aeiou])")


def articles(text: str) -> str:
    """The text with "an" before vowels: templates say "a {animal}" for owls and goats alike."""
    return _ARTICLE.sub(r"\1n ", text)


def other(rng: random.Random, items: list[str] | tuple[str, ...], *not_these: str) -> str:
    """A random item that is none of ``not_these``."""
    while True:
        item = rng.choice(items)
        if item not in not_these:
            return item
