"""Lost things and errands: who, what and where must be copied from the prompt."""

from __future__ import annotations

import random

from rlhf_tutorial.village.families.base import Family, Slots, Template, other
from rlhf_tutorial.village.words import NAMES, PLACES, THINGS, pronouns


def draw(group: str, rng: random.Random) -> Slots:
    """A villager, a thing and a place, free of each other."""
    who = rng.choice(NAMES)
    slots = {"who": who, "thing": rng.choice(THINGS), "place": rng.choice(PLACES)}
    return slots | pronouns(who)


def corrupt(group: str, slots: Slots, rng: random.Random) -> Slots:
    """Mixes up the place, the thing or, on an errand, the person."""
    kind = rng.choice(["place", "thing", "who"] if group == "errand" else ["place", "thing"])
    if kind == "who":
        who = other(rng, NAMES, slots["who"])
        return slots | {"who": who} | pronouns(who)
    return slots | {kind: other(rng, PLACES if kind == "place" else THINGS, slots[kind])}


LOST = (
    "{who} lost the {thing} near the {place}. Where should {he} look?",
    "I lost my {thing} by the {place}. What should I do?",
    "{who} had the {thing} at the {place} and now it is gone. Can you help?",
    "Help me find the {thing}. I dropped it at the {place}.",
    "The {thing} fell out of my bag at the {place}. How do I get it back?",
)
LOST_HELD_OUT = ("My {thing} is missing since I was at the {place}. What now?",)
ERRANDS = (
    "Please bring the {thing} to {who} at the {place}.",
    "Can you carry the {thing} to the {place} for {who}?",
    "{who} is at the {place} and needs the {thing}. Will you go?",
    "Take this {thing} to {who}. {He} waits at the {place}.",
)
ERRANDS_HELD_OUT = ("Would you deliver the {thing} to {who} by the {place}?",)

FAMILY = Family(
    name="errands",
    templates=(
        *(Template(text, "lost") for text in LOST),
        *(Template(text, "lost", held_out=True) for text in LOST_HELD_OUT),
        *(Template(text, "errand") for text in ERRANDS),
        *(Template(text, "errand", held_out=True) for text in ERRANDS_HELD_OUT),
    ),
    draw=draw,
    combination=("who", "thing", "place"),
    corrupt=corrupt,
    replies={
        "lost": dict.fromkeys(
            ("right", "wrong"),
            (
                "Look for the {thing} near the {place} first.",
                "Go back to the {place} and search the ground for the {thing}.",
                "The {thing} must still be at the {place}, so look there before dark.",
                "Walk slowly around the {place} until the {thing} turns up.",
                "Ask the people at the {place} if they have seen the {thing}.",
                "Start at the {place}, where the {thing} was seen last.",
            ),
        )
        | {
            "vague": (
                "Things come back when they want to.",
                "Just look everywhere.",
                "It will be where you left it.",
                "That happens to everybody.",
                "Perhaps somebody will do something about it.",
                "Try harder to find it.",
            )
        },
        "errand": dict.fromkeys(
            ("right", "wrong"),
            (
                "I will bring the {thing} to {who} at the {place}.",
                "I will go to the {place} now and give the {thing} to {who}.",
                "{who} will have the {thing} at the {place} before noon.",
                "The {thing} is in my bag, and I am off to {who} at the {place}.",
                "Consider it done: the {thing} goes to {who} by the {place}.",
            ),
        )
        | {
            "vague": (
                "I will see what I can do some day.",
                "Maybe later, if I am not busy.",
                "Somebody should do that.",
                "That sounds like a long walk.",
                "Errands are a part of life.",
            )
        },
    },
)
