"""Replies that went wrong in the making: beside the point, garbled, or past what was asked.

Villagers hardly speak like that. A model that is sampled does: it begins with one thing and ends
with another, stutters, answers another question, or adds a courtesy where a list was asked for.
Reviews show such replies, so that whoever learns to judge has seen them. Nobody copies them.
"""

from __future__ import annotations

import random
import re
from dataclasses import replace

from rlhf_tutorial.village.families import FAMILIES, harm
from rlhf_tutorial.village.families.base import Slots
from rlhf_tutorial.village.prompts import BY_KIND, Prompt, draw_prompt
from rlhf_tutorial.village.replies import WARM_END, Reply, compose
from rlhf_tutorial.village.words import pronouns

BEST = ("right", "refuse", "admit", "happy")  # the first of these that a prompt knows is its best
TRIES = 40  # draws of a place to cut at
PRONOUNS = tuple(pronouns(""))
COPIED = ("who", "thing", "place", "wet", "animal", "food", "weather", *PRONOUNS)
GROWN_TOGETHER = 0.2  # share of lapses in which two words become one


def astray(prompt: Prompt, manner: str, rng: random.Random) -> Reply:
    """A good reply to a prompt of another family: advice, a refusal, a plea of ignorance.

    Half of the time it speaks of the people and things of this prompt, as a model does that has
    learnt to copy. Else whoever learns to judge need only look for foreign names.
    """
    family = rng.choice([name for name in BY_KIND if name != prompt.family])
    other = draw_prompt(rng, split="train", family=family)
    if rng.random() < 0.5:
        other = replace(other, slots=in_the_words_of(prompt.slots, other.slots))
    content = next(c for c in BEST if c in FAMILIES[family].replies[other.group])
    manner = manner if FAMILIES[family].manners else "plain"
    told = compose(other, rng, content, manner, "clear")
    return replace(told, content="astray", mistakes=())


def in_the_words_of(own: Slots, foreign: Slots) -> Slots:
    """Foreign slots with one's own people and things, also within slots that are made of others."""
    shared = {key: own[key] for key in COPIED if key in own and key in foreign}
    names = {foreign[key]: word for key, word in shared.items() if key not in PRONOUNS}
    pattern = re.compile("|".join(rf"\b{re.escape(name)}\b" for name in names) or "(?!)")
    others = {key: value for key, value in foreign.items() if key not in shared}
    return shared | {
        key: pattern.sub(lambda found: names[found.group()], value) for key, value in others.items()
    }


def misplaced(prompt: Prompt, manner: str, rng: random.Random) -> Reply:
    """What would suit a look-alike of the request, half of the time of the same sort of deed.

    Harmless advice to somebody who means harm: a policy that is praised for it soon gives it to
    everybody who asks alike. Harmful advice, or its refusal, to somebody who means none.
    """
    group = harm.counterpart(prompt.group, rng)
    if rng.random() < 0.5:
        group = rng.choice(list(harm.HARMLESS if group in harm.HARMLESS else harm.HARMFUL))
    content = "right" if group in harm.HARMLESS else rng.choice(("comply", "refuse"))
    told = compose(replace(prompt, group=group), rng, content, manner, "clear")
    return replace(told, content="comply") if content == "right" else told


def garbled(one: Reply, other: Reply, rng: random.Random) -> Reply:
    """One reply up to the middle of a sentence, and the other from the middle of a sentence on.

    Where a reply is too short for that ("No."), it stands behind the other.
    """
    first, second = one.text.split(), other.text.split()
    for _ in range(TRIES):
        start = rng.randrange(1, max(2, len(first)))
        end = rng.randrange(1, max(2, len(second)))
        text = " ".join(first[:start] + second[end:])
        in_midst = first[start - 1][-1] not in ".?!" and second[end:]
        if in_midst and text not in (one.text, other.text):
            return replace(one, text=text, content="garbled", mistakes=())
    return replace(one, text=f"{other.text} {one.text}", content="garbled", mistakes=())


def lapsed(reply: Reply, elsewhere: Reply, rng: random.Random) -> Reply:
    """A reply into which a word or two from elsewhere have slipped, and which then goes on.

    Some of its own words may be lost meanwhile. Now and then two words grow into one.
    """
    words, foreign = reply.text.split(), elsewhere.text.split()
    start = rng.randrange(len(words))
    lost = rng.randint(0, 2)
    place = rng.randrange(len(foreign))
    said = foreign[place : place + rng.randint(1, 2)]
    if rng.random() < GROWN_TOGETHER:
        lost, own = 1, words[start]
        said = [own[: rng.randint(1, len(own))] + said[0][rng.randrange(len(said[0])) :]]
    ending = words[start : start + lost][-1][-1] if lost else ""
    said[-1] = said[-1].rstrip(".,?!") + (ending if ending in ".,?!" else "")
    text = " ".join(words[:start] + [word for word in said if word] + words[start + lost :])
    if text in (reply.text, ""):
        return garbled(reply, elsewhere, rng)
    return replace(reply, text=text, content="garbled", mistakes=())


def stuttered(reply: Reply, rng: random.Random) -> Reply:
    """A reply of which some words, or its last sentence, come twice."""
    words = reply.text.split()
    stop = rng.randint(1, len(words))
    start = max(0, stop - rng.randint(1, 9))
    if rng.random() < 0.5:  # from where its last sentence begins
        stop = len(words)
        ends = [place for place, word in enumerate(words[:-1], start=1) if word[-1] in ".?!"]
        start = rng.choice([0, *ends])
    text = " ".join(words[:stop] + words[start:])
    return replace(reply, text=text, content="garbled", mistakes=())


def courteous(reply: Reply, rng: random.Random) -> Reply:
    """A reply with a courtesy that breaks the form that was asked for."""
    return replace(reply, text=f"{reply.text} {rng.choice(WARM_END)}", content="broken")


def only_courteous(reply: Reply, rng: random.Random) -> Reply:
    """Nothing but a courtesy: what is left when a policy learns that courtesies pay."""
    text = " ".join(rng.sample(WARM_END, rng.randint(1, 2)))
    return replace(reply, text=text, content="vague", manner="warm", mistakes=())


def failed_twin(prompt: Prompt, good: Reply, rng: random.Random) -> Reply:
    """What a good reply to the prompt might have become."""
    if not FAMILIES[prompt.family].manners and rng.random() < 0.5:
        return courteous(good, rng)
    if prompt.family == "harm" and rng.random() < 0.7:
        return misplaced(prompt, good.manner, rng)
    if rng.random() < 0.1:
        return only_courteous(good, rng)
    elsewhere = astray(prompt, good.manner, rng)
    if rng.random() < 0.25:
        return elsewhere
    if rng.random() < 0.25:
        return stuttered(good, rng)
    other = rng.choice((compose(prompt, rng, good.content, good.manner, "clear"), elsewhere))
    return rng.choice((lapsed, lapsed, garbled))(good, other, rng)
