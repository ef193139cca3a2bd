"""Instructions with a constraint: one sentence, yes or no, exactly three, these words.

They test instruction following. Openings and closings would break the constraint, so
there are none.
"""

from __future__ import annotations

import random

from rlhf_tutorial.village import world
from rlhf_tutorial.village.families.base import Family, Slots, Template, other
from rlhf_tutorial.village.words import KINDS, NAMES, PLACES, THINGS, pronouns

NUMBERS = {"two": 2, "three": 3}


def draw(group: str, rng: random.Random) -> Slots:
    """Slots of an instruction; facts come from the world."""
    who = rng.choice(NAMES)
    slots = {"who": who, "thing": rng.choice(THINGS), "place": rng.choice(PLACES)}
    slots |= pronouns(who)
    slots |= {"job": world.value(who, "job"), "home": world.value(who, "home")}
    if group == "list":
        slots |= {"number": rng.choice(list(NUMBERS)), "category": rng.choice(list(KINDS))}
    if group == "yesno":
        asked = slots["home"] if rng.random() < 0.5 else other(rng, PLACES, slots["home"])
        answer = "Yes" if asked == slots["home"] else "No"
        slots |= {"asked": asked, "answer": answer}
    return slots


def items(number: int, category: str, rng: random.Random) -> str:
    """``number`` different members of a category, as people write a list."""
    chosen = rng.sample(list(KINDS[category]), number)
    return ", ".join(chosen[:-1]) + f" and {chosen[-1]}"


def fill(group: str, slots: Slots, rng: random.Random) -> Slots:
    """A fresh list for every reply."""
    if group != "list":
        return slots
    return slots | {"items": items(NUMBERS[slots["number"]], slots["category"], rng)}


def corrupt(group: str, slots: Slots, rng: random.Random) -> Slots:
    """A wrong fact, a wrong count or kind, a wrong word."""
    if group == "list":
        if rng.random() < 0.5:
            wrong = items(NUMBERS[slots["number"]] + rng.choice([1, 2]), slots["category"], rng)
        else:
            kind = other(rng, list(KINDS), slots["category"])
            wrong = items(NUMBERS[slots["number"]], kind, rng)
        return slots | {"items": wrong}
    if group == "yesno":
        return slots | {"answer": "No" if slots["answer"] == "Yes" else "Yes"}
    if group in ("job", "home", "short"):
        someone = other(rng, NAMES, slots["who"])
        return slots | {"job": world.value(someone, "job"), "home": world.value(someone, "home")}
    key = rng.choice(["thing", "place"])
    return slots | {key: other(rng, THINGS if key == "thing" else PLACES, slots[key])}


TEMPLATES = (
    Template("In one sentence, what does {who} do?", "job"),
    Template("Tell me in a single sentence what work {who} does.", "job"),
    Template("In one sentence, where does {who} live?", "home"),
    Template("Use one sentence only: where is the house of {who}?", "home", held_out=True),
    Template("Answer only yes or no. Does {who} live by the {asked}?", "yesno"),
    Template("Yes or no: is the house of {who} by the {asked}?", "yesno"),
    Template("Just say yes or no. Is {who} at home by the {asked}?", "yesno", held_out=True),
    Template("Name {number} {category} for {who}.", "list"),
    Template("{who} wants to hear exactly {number} {category}.", "list"),
    Template("Give {who} a list of {number} {category}.", "list", held_out=True),
    Template("Repeat after me: the {thing} of {who} is by the {place}.", "repeat"),
    Template("Say these words: {who} took the {thing} to the {place}.", "say"),
    Template("Make one sentence with the words {thing} and {place}.", "words"),
    Template("I need a sentence that has both {thing} and {place} in it.", "words"),
    Template("Write a line in which {thing} and {place} occur.", "words", held_out=True),
    Template("In at most five words, where does {who} live?", "short"),
    Template("Say it in five words or fewer: where is {who} at home?", "short"),
)

VAGUE = (
    "I do not like such rules.",
    "That could be said in many ways.",
    "Let me think about it until tomorrow.",
    "Rules are rules, they say.",
)
LONG_HOME = "Well, you ask about {who}. Let me see. {who} lives by the {home}, I think."
LONG_JOB = "Well, you ask about {who}. It is a long story. {He} is the {job}."
JOB = ("{who} is the {job}.", "{who} works as the {job} of the village.", "{He} is our {job}.")
HOME = ("{who} lives by the {home}.", "{His} house stands by the {home}.")
WORDS = (
    "The {thing} lies by the {place}.",
    "I saw a {thing} near the {place}.",
    "Somebody left a {thing} at the {place}.",
    "On the way to the {place} a {thing} fell down.",
)


def cores(right: tuple[str, ...], broken: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Right and wrong share their wording; ``broken`` says it but breaks the rule."""
    return {"right": right, "wrong": right, "broken": broken, "vague": VAGUE}


FAMILY = Family(
    name="constraint",
    templates=TEMPLATES,
    draw=draw,
    combination=("who", "thing", "place", "number", "category", "asked"),
    fill=fill,
    corrupt=corrupt,
    manners=False,
    replies={
        "job": cores(JOB, (LONG_JOB,)),
        "home": cores(HOME, (LONG_HOME,)),
        "yesno": cores(("{answer}.",), (LONG_HOME, "It is not so easy to say yes or no.")),
        "list": cores(
            ("{items}.", "Take {items}.", "Here they are: {items}."),
            ("There are too many {category} to name them.", "I only know one of them."),
        ),
        "repeat": cores(("The {thing} of {who} is by the {place}.",), ("Why is it there?",)),
        "say": cores(("{who} took the {thing} to the {place}.",), ("What did {he} do there?",)),
        "words": cores(WORDS, ("A {thing}.", "The {place} is nice. I like it there.")),
        "short": cores(("By the {home}.", "Near the {home}.", "At the {home}."), (LONG_HOME,)),
    },
)
