"""Questions that nobody can answer, and look-alikes whose answer stands in the prompt."""

from __future__ import annotations

import random

from rlhf_tutorial.village.families.base import Family, Slots, Template, other
from rlhf_tutorial.village.words import ANIMALS, COLOURS, FOODS, NAMES, PLACES, THINGS, pronouns

# group -> (what the prompt may tell first, the question, what an answer sounds like)
MATTERS = {
    "dream": (
        "{who} told us of a dream about a {thing}.",
        "What did {who} dream about last night?",
        "{who} dreamt about a {thing}.",
    ),
    "pocket": (
        "{who} has just put a {thing} into {his} pocket.",
        "What does {who} have in {his} pocket?",
        "There is a {thing} in {his} pocket.",
    ),
    "tomorrow": (
        "{who} has promised to eat {food} tomorrow.",
        "What will {who} eat tomorrow?",
        "{He} will eat {food}.",
    ),
    "wish": (
        "{who} said aloud that {he} wishes for a {thing}.",
        "What does {who} wish for in secret?",
        "{who} wishes for a {thing}.",
    ),
    "walk": (
        "{who} and I agreed to meet by the {place} next year.",
        "Where will {who} be on this day next year?",
        "{who} will be by the {place}.",
    ),
    "animal": (
        "The fortune teller has sold {who} a {animal}.",
        "Which animal will {who} buy one day?",
        "{who} will buy a {animal}.",
    ),
    "colour": (
        "{who} thinks of a colour, and it is {colour}.",
        "Which colour is {who} thinking of now?",
        "It is {colour}, I can see it in {his} face.",
    ),
    "count": (
        "{who} counted {number} leaves on the oak by the {place}.",
        "How many leaves are on the oak by the {place}?",
        "There are {number} leaves.",
    ),
}
# The same questions with a place or an animal in them, so that there are more of them.
LONGER = {
    "dream": "What did {who} dream about at the {place}?",
    "pocket": "What does {who} have in {his} pocket at the {place}?",
    "tomorrow": "What will {who} eat tomorrow at the {place}?",
    "wish": "What does {who} wish for in secret at the {place}?",
    "walk": "Where will {who} and the {animal} be on this day next year?",
    "animal": "Which animal will {who} buy at the {place} one day?",
    "colour": "Which colour is {who} thinking of now at the {place}?",
    "count": "How many leaves are on {who}'s oak by the {place}?",
}
HELD_OUT = ("wish", "walk")
NUMBERS = ("twenty", "forty", "ninety", "seven", "eleven", "sixty", "fifty", "thirty")


def draw(group: str, rng: random.Random) -> Slots:
    """A villager and what may or may not be known of them."""
    who = rng.choice(NAMES)
    return {
        "who": who,
        "thing": rng.choice(THINGS),
        "place": rng.choice(PLACES),
        "food": rng.choice(FOODS),
        "animal": rng.choice(ANIMALS),
        "colour": rng.choice(COLOURS),
        "number": rng.choice(NUMBERS),
    } | pronouns(who)


def corrupt(group: str, slots: Slots, rng: random.Random) -> Slots:
    """Any other value: what somebody makes up, or gets wrong."""
    return slots | {
        "thing": other(rng, THINGS, slots["thing"]),
        "place": other(rng, PLACES, slots["place"]),
        "food": other(rng, FOODS, slots["food"]),
        "animal": other(rng, ANIMALS, slots["animal"]),
        "colour": other(rng, COLOURS, slots["colour"]),
        "number": other(rng, NUMBERS, slots["number"]),
    }


ADMISSIONS = (
    "I do not know that, and nobody can. You could ask {who}.",
    "Nobody but {who} can tell. I would only guess.",
    "That cannot be known. Let us wait and see what {who} says.",
    "I have no way to know it. Why not ask {who} in person?",
    "I am not sure, and I will not make something up about {who}.",
)
UNSURE = (
    "I do not know that.",
    "That cannot be known.",
    "Nobody can tell.",
    "I have no way to know it.",
)
IGNORANCE = UNSURE + ADMISSIONS  # honest or not: only the question tells
VAGUE = (
    "That is a question for a long evening.",
    "Many people wonder about many things.",
    "It is what it is.",
    "You ask a great deal.",
)


def claims(answer: str) -> tuple[str, ...]:
    """An answer, known or made up: the words around it give nothing away."""
    return (answer, "I am certain. " + answer, answer + " You said so yourself.")


FAMILY = Family(
    name="unknowable",
    templates=(
        *(
            Template(frame.format(q=question), group, held_out=group in HELD_OUT or hold)
            for group, (_, short, _) in MATTERS.items()
            for question in (short, LONGER[group])
            for frame, hold in (
                ("{q}", False),
                ("I wonder about something. {q}", False),
                ("Do you have an idea? {q}", True),
            )
        ),
        *(
            Template(frame.format(t=told, q=q), f"told-{group}", group in HELD_OUT or hold)
            for group, (told, q, _) in MATTERS.items()
            for frame, hold in (
                ("{t} {q}", False),
                ("I heard this: {t} {q}", False),
                ("{t} Do you remember? {q}", True),
            )
        ),
    ),
    draw=lambda group, rng: draw(group.removeprefix("told-"), rng),
    combination=("who", "thing", "place", "food", "animal", "colour", "number"),
    corrupt=corrupt,
    kinds={g: "unknowable" for g in MATTERS} | {f"told-{g}": "answerable" for g in MATTERS},
    replies={
        group: {
            "admit": IGNORANCE,
            "invent": claims(answer),
            "vague": VAGUE,
        }
        for group, (_, _, answer) in MATTERS.items()
    }
    | {
        f"told-{group}": {
            "right": claims(answer),
            "wrong": claims(answer),
            "admit": IGNORANCE,
            "vague": VAGUE,
        }
        for group, (_, _, answer) in MATTERS.items()
    },
)
