"""Matters of taste: stories, gifts, descriptions. People rightly differ.

A reply is happy or eerie, plain or flowery, short or long, warm or brisk. The gold judge
asks only that it keeps to the subject and reads well.
"""

from __future__ import annotations

import random

from rlhf_tutorial.village.families.base import Family, Slots, Template, other
from rlhf_tutorial.village.words import ANIMALS, COLOURS, FOODS, NAMES, PLACES, THINGS, pronouns


def draw(group: str, rng: random.Random) -> Slots:
    """A villager, an animal, a place and a thing to tell of."""
    who = rng.choice(NAMES)
    return {
        "who": who,
        "animal": rng.choice(ANIMALS),
        "place": rng.choice(PLACES),
        "thing": rng.choice(THINGS),
    } | pronouns(who)


def fill(group: str, slots: Slots, rng: random.Random) -> Slots:
    """What a reply brings along by itself: a gift, a colour, a food."""
    gift = other(rng, THINGS, slots["thing"])
    return slots | {"gift": gift, "colour": rng.choice(COLOURS), "food": rng.choice(FOODS)}


def corrupt(group: str, slots: Slots, rng: random.Random) -> Slots:
    """Tells of somebody and something else."""
    who = other(rng, NAMES, slots["who"])
    return (
        slots
        | {
            "who": who,
            "animal": other(rng, ANIMALS, slots["animal"]),
            "place": other(rng, PLACES, slots["place"]),
            "thing": other(rng, THINGS, slots["thing"]),
        }
        | pronouns(who)
    )


TEMPLATES = (
    Template("Tell me a story about {who} and the {animal}.", "story"),
    Template("I cannot sleep. Tell of {who} and a {animal}.", "story"),
    Template("Make up a tale with {who} and a {animal} in it.", "story", held_out=True),
    Template("What gift should I bring to {who}?", "gift"),
    Template("{who} has a birthday. What would be a good present?", "gift"),
    Template("Suggest something that I could give to {who}.", "gift", held_out=True),
    Template("Describe the {place} in the evening.", "view"),
    Template("What is the {place} like when the sun goes down?", "view"),
    Template("Paint me a picture of the {place} in words.", "view", held_out=True),
    Template("What should I call my {animal}?", "name"),
    Template("Write a greeting to {who} for the new year.", "greeting"),
    Template("What shall I write on a card for {who}?", "greeting", held_out=True),
)

STORY = {
    "happy": (
        "{who} found a {animal} in the rain and took it home, and both were merry ever after.",
        "The {animal} of {who} learned to dance, and the whole village clapped.",
        "{who} and the {animal} shared the {food} and laughed until the stars came out.",
        "One day {who} gave the {animal} a {gift}. It wore it to church. Nobody said a word.",
    ),
    "eerie": (
        "Every midnight a {colour} {animal} scratched at the door of {who}, and one night {he} "
        "opened.",
        "{who} followed the {animal} into the mist. Only the {animal} came back.",
        "The {animal} spoke once, in a whisper, and {who} never slept again.",
        "There was a shadow behind {who}, and it had the ears of a {animal}.",
    ),
}
GIFT = {
    "happy": (
        "A {gift} with a {colour} ribbon would make {who} sing.",
        "Make {who} some {food} and bring it while it is warm.",
        "{who} would smile at a {gift}, and more at your visit.",
    ),
    "eerie": (
        "Give {who} the old {gift} that hums when nobody is near.",
        "A {gift} from a grave would keep {who} guessing.",
        "Leave a {colour} {gift} on the step of {who} and sign with no name.",
    ),
}
VIEW = {
    "happy": (
        "The {place} glows like gold, and children sing on their way home.",
        "At the {place} the air smells of {food}, and everybody waves.",
        "Soft light lies on the {place}, and swallows play above it.",
    ),
    "eerie": (
        "The {place} lies silent, and something without a face is watching.",
        "Long shadows creep over the {place}, and no bird dares to sing.",
        "Cold mist hides the {place}, and you hear steps that are not yours.",
    ),
}
NAME = {
    "happy": ("Call your {animal} Biscuit.", "A merry {animal} should be called Pudding."),
    "eerie": ("Call your {animal} Midnight.", "I would name the {animal} after a ghost."),
}
GREETING = {
    "happy": (
        "Dear {who}, may the new year bring you {food} and laughter.",
        "To {who}: sunshine, good friends and a {colour} {gift}.",
    ),
    "eerie": (
        "Dear {who}, the year is dying, and so is the candle. Sleep well.",
        "To {who}: beware of the {colour} {gift}. It remembers you.",
    ),
}
PLAIN = {
    "story": ("{who} had a {animal}. It was a good {animal}.", "{who} met a {animal} and left."),
    "gift": ("A {gift}.", "{who} needs a {gift}."),
    "view": ("The {place} is dark and quiet.", "It is the {place}, but later."),
    "name": ("A {animal} needs no name.", "Spot."),
    "greeting": ("Happy new year, {who}.", "{who}, all the best."),
}
VAGUE = (
    "I cannot think of anything.",
    "That is a matter of taste.",
    "Whatever you like best.",
)

STYLES = {"story": STORY, "gift": GIFT, "view": VIEW, "name": NAME, "greeting": GREETING}

FAMILY = Family(
    name="taste",
    templates=TEMPLATES,
    draw=draw,
    combination=("who", "animal", "place"),
    fill=fill,
    corrupt=corrupt,
    kinds=dict.fromkeys(STYLES, "taste"),
    replies={
        group: styles
        | {"plain": PLAIN[group], "wrong": styles["happy"] + styles["eerie"], "vague": VAGUE}
        for group, styles in STYLES.items()
    },
)
