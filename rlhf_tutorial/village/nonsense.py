"""Replies that went wrong in the making: beside the point, garbled, or past what was asked.

Villagers hardly speak like that. A model that is sampled does: it begins with one thing and ends
with another, answers another question, or adds a courtesy where a list was asked for. Reviews show
such replies, so that whoever learns to judge has seen them. Nobody copies them.
"""

from __future__ import annotations

import random
from dataclasses import replace

from rlhf_tutorial.village.families import FAMILIES
from rlhf_tutorial.village.prompts import BY_KIND, Prompt, draw_prompt
from rlhf_tutorial.village.replies import WARM_END, Reply, compose

# Asked elsewhere: kinds whose good replies name what they are about, so that they fit nothing else.
TELLING = ("plain", "lookalike", "answerable")
TRIES = 40  # draws of a place to cut at


def astray(prompt: Prompt, manner: str, rng: random.Random) -> Reply:
    """A good reply to a prompt of another family."""
    while True:
        family = rng.choice([name for name in BY_KIND if name != prompt.family])
        other = draw_prompt(rng, split="train", family=family)
        if other.kind in TELLING:
            manner = manner if FAMILIES[family].manners else "plain"
            return replace(compose(other, rng, "right", manner, "clear"), content="astray")


def garbled(one: Reply, other: Reply, rng: random.Random) -> Reply:
    """One reply up to the middle of a sentence, and the other from the middle of a sentence on."""
    first, second = one.text.split(), other.text.split()
    for _ in range(TRIES):
        start = rng.randrange(1, max(2, len(first)))
        end = rng.randrange(1, max(2, len(second)))
        text = " ".join(first[:start] + second[end:])
        in_midst = first[start - 1][-1] not in ".?!" and second[end:]
        if in_midst and text not in (one.text, other.text):
            return replace(one, text=text, content="garbled", mistakes=())
    return replace(one, text=" ".join(reversed(first)), content="garbled", mistakes=())


def courteous(reply: Reply, rng: random.Random) -> Reply:
    """A reply with a courtesy that breaks the form that was asked for."""
    return replace(reply, text=f"{reply.text} {rng.choice(WARM_END)}", content="broken")


def failed_twin(prompt: Prompt, good: Reply, rng: random.Random) -> Reply:
    """What a good reply to the prompt might have become."""
    if not FAMILIES[prompt.family].manners and rng.random() < 0.5:
        return courteous(good, rng)
    if rng.random() < 0.5:
        return astray(prompt, good.manner, rng)
    again = compose(prompt, rng, good.content, good.manner, "clear")
    return garbled(good, rng.choice((again, astray(prompt, good.manner, rng))), rng)
