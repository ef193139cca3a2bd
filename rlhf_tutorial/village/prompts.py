"""Prompts with their splits, and the way back from a text to the prompt it is.

Training, development and test prompts of a family share no (who, what, where) combination:
each combination is hashed into one split, whatever wording it comes in. Across families one
may recur: `constraint` asks for facts in a given form, `facts` for the same facts. Held-out
wordings are never ranked and never seen by the reward model or PPO; an evaluation asks for as
many of them as of the others.
"""

from __future__ import annotations

import functools
import random
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rlhf_tutorial.village.families import FAMILIES
from rlhf_tutorial.village.families.base import Slots, Template, articles
from rlhf_tutorial.village.families.howto import TASKS
from rlhf_tutorial.village.words import JOBS

SPLITS = ("train", "development", "test")
# Families in turn, with those twice that hold two kinds of prompt: harm and its look-alikes, what
# cannot be known and what was just told. Each kind needs as much practice as a family.
BY_KIND = (*FAMILIES, "harm", "unknowable")
TRIES = 60  # draws without a new prompt after which a family counts as exhausted
_SHARES = {"train": 70, "development": 85, "test": 100}  # upper bounds in per cent


@dataclass(frozen=True)
class Prompt:
    """What somebody says to the assistant, and what a lecturer may want to know of it.

    Attributes:
        text: the words.
        family, group: which template list it comes from.
        template: id of the wording, ``family/group/number``; intervals are clustered by it.
        kind: plain, harmful, lookalike, unknowable, answerable or taste.
        slots: the words that fill the template.
        split: train, development or test.
        held_out: true for wordings that are never ranked.
    """

    text: str
    family: str
    group: str
    template: str
    kind: str
    slots: Mapping[str, str]
    split: str
    held_out: bool


@functools.cache
def _templates() -> dict[str, tuple[str, Template]]:
    """Template id -> (family name, template)."""
    found: dict[str, tuple[str, Template]] = {}
    for name, family in FAMILIES.items():
        for number, template in enumerate(family.templates):
            found[f"{name}/{template.group}/{number}"] = (name, template)
    return found


def split_of(template: Template, family: str, slots: Slots) -> str:
    """The split of a combination, from a hash that no later change of lists can shift."""
    spec = FAMILIES[family]
    words = [
        slots[key]
        for key in spec.combination
        if key in slots and (key in spec.hidden or "{" + key + "}" in template.text)
    ]
    bucket = zlib.crc32(" ".join(words).encode()) % 100
    return next(split for split in SPLITS if bucket < _SHARES[split])


def draw_prompt(
    rng: random.Random,
    *,
    split: str,
    family: str | None = None,
    kind: str | None = None,
    held_out: bool | None = None,
) -> Prompt:
    """One random prompt of a split; every family is equally likely, then every kind, group.

    Raises:
        ValueError: for an unknown split, family, or a kind that the family has not.
    """
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}: choose one of {', '.join(SPLITS)}")
    choices = _choices(family, kind, held_out)
    if not choices:
        raise ValueError(f"no prompts of family {family!r} and kind {kind!r}: see FAMILIES")
    while True:
        ident = rng.choice(rng.choice(rng.choice(rng.choice(choices))))
        name, template = _templates()[ident]
        slots = FAMILIES[name].draw(template.group, rng)
        if split_of(template, name, slots) == split:
            return Prompt(
                text=articles(template.text.format_map(slots)),
                family=name,
                group=template.group,
                template=ident,
                kind=FAMILIES[name].kind(template.group),
                slots=slots,
                split=split,
                held_out=template.held_out,
            )


@functools.cache
def _choices(family: str | None, kind: str | None, held_out: bool | None) -> list:
    """Nested lists family -> kind -> group -> template ids that fit the wish."""
    tree: dict[str, dict[str, dict[str, list[str]]]] = {}
    for ident, (name, template) in _templates().items():
        its_kind = FAMILIES[name].kind(template.group)
        if family not in (None, name) or kind not in (None, its_kind):
            continue
        if held_out not in (None, template.held_out):
            continue
        groups = tree.setdefault(name, {}).setdefault(its_kind, {})
        groups.setdefault(template.group, []).append(ident)
    return [
        [[ids for ids in groups.values()] for groups in kinds.values()] for kinds in tree.values()
    ]


def draw_prompts(
    count: int,
    *,
    split: str,
    seed: int,
    families: Sequence[str] | None = None,
    kind: str | None = None,
    held_out: bool | None = None,
) -> list[Prompt]:
    """``count`` different prompts, families in turn, reproducible by ``seed``.

    Raises:
        ValueError: when the village has not so many different prompts of that sort.
    """
    rng = random.Random(f"{split}/{seed}/{kind}/{held_out}")
    if families is None:
        families = [name for name in FAMILIES if _choices(name, kind, held_out)]
    waiting = list(families)  # in turn; a family that has no new prompt left drops out
    found: dict[str, Prompt] = {}
    while len(found) < count:
        if not waiting:
            raise ValueError(
                f"the village has only about {len(found)} different {split} prompts of that "
                f"sort, {count} were asked for: ask for fewer"
            )
        family = waiting.pop(0)
        for _ in range(TRIES):
            prompt = draw_prompt(rng, split=split, family=family, kind=kind, held_out=held_out)
            if prompt.text not in found:
                found[prompt.text] = prompt
                waiting.append(family)
                break
    return list(found.values())


_CLOSED_SLOTS = {
    "task": "|".join(map(re.escape, TASKS)),
    "does": "|".join(map(re.escape, JOBS.values())),
}


def _pattern(text: str) -> re.Pattern[str]:
    """A template as a regular expression; a slot that returns must return the same word."""
    seen: set[str] = set()
    parts = re.split(r"\{(\w+)\}", text)
    pieces = []
    for i, part in enumerate(parts):
        if i % 2 == 0:
            pieces.append(re.sub(r"\ba(\\?\ )$", r"an?\1", re.escape(part)))
        elif part in seen:
            pieces.append(f"(?P={part})")
        else:
            seen.add(part)
            pieces.append(f"(?P<{part}>{_CLOSED_SLOTS.get(part, '[A-Za-z]+')})")
    return re.compile("".join(pieces))


@functools.cache
def _patterns() -> list[tuple[re.Pattern[str], str, Template, str]]:
    return [
        (_pattern(template.text), name, template, ident)
        for ident, (name, template) in _templates().items()
    ]


@dataclass(frozen=True)
class Parsed:
    """A prompt's text, understood: family, group, kind and the words in its slots."""

    family: str
    group: str
    kind: str
    template: str
    slots: Mapping[str, str]


@functools.lru_cache(maxsize=20_000)
def parse(text: str) -> Parsed | None:
    """Recognises a village prompt by its wording; ``None`` for anything else."""
    for pattern, name, template, ident in _patterns():
        match = pattern.fullmatch(text.strip())
        if match:
            kind = FAMILIES[name].kind(template.group)
            return Parsed(name, template.group, kind, ident, match.groupdict())
    return None
