"""Comfort: troubles told to the assistant. They test tone, and a hint that fits."""

from __future__ import annotations

import random

from rlhf_tutorial.village.families.base import Family, Slots, Template, other
from rlhf_tutorial.village.words import ANIMALS, FEELINGS, FOODS, NAMES, THINGS, WEATHER, pronouns

# trouble as told -> the same in the mouth of another, and its nouns' slots
TROUBLES = {
    "thing": ("I broke my {thing}", "about the {thing}"),
    "animal": ("My {animal} ran away", "about the {animal}"),
    "ill": ("My {animal} is ill", "that the {animal} is ill"),
    "food": ("I burned the {food}", "about the {food}"),
    "laugh": ("{who} laughed at my {thing}", "that {who} laughed at the {thing}"),
    "talk": ("{who} will not talk to me", "that {who} will not talk to you"),
    "away": ("My friend {who} moved away", "that {who} is so far away"),
    "party": ("{who} forgot my birthday", "that {who} forgot the day"),
    "weather": ("The {weather} ruined my {thing}", "that the {weather} took the {thing}"),
    "race": ("I came last in the race against {who}", "about the race"),
    "song": ("I forgot the song in front of {who}", "about the song"),
    "dark": ("The {weather} kept me awake all night", "that the {weather} kept you awake"),
}
HELD_OUT_TROUBLES = ("ill", "song")


def draw(group: str, rng: random.Random) -> Slots:
    """A trouble, a feeling, and the people and things in it."""
    who = rng.choice(NAMES)
    slots = {
        "who": who,
        "thing": rng.choice(THINGS),
        "animal": rng.choice(ANIMALS),
        "food": rng.choice(FOODS),
        "weather": rng.choice(WEATHER),
        "feeling": rng.choice(FEELINGS),
    } | pronouns(who)
    return slots | {"about": TROUBLES[group][1].format_map(slots)}


def corrupt(group: str, slots: Slots, rng: random.Random) -> Slots:
    """A reply that was not listening: another feeling, about something else."""
    drawn = draw(other(rng, list(TROUBLES), group), rng)
    return drawn | {"feeling": other(rng, FEELINGS, slots["feeling"])}


FRAMES = (
    "{trouble} and I feel {feeling}.",
    "{trouble}. Now I am {feeling}.",
    "I am so {feeling}. {trouble}.",
    "{trouble}. What can I do?",
)
HELD_OUT_FRAME = "It was a bad day. {trouble}."

RIGHT = (
    "I am sorry {about}. Rest a little, and tomorrow we will try again.",
    "Anyone would be {feeling} {about}. Sit down, and let us talk about it.",
    "That must hurt. It is no shame to be {feeling} {about}. Take a walk with a friend.",
    "It is hard to feel {feeling}. I am here with you, and I am sorry {about}.",
    "Do not worry too much {about}. Have some tea, for this feeling will pass.",
    "I hear you, and I am sorry {about}. Shall we think of a way to mend it together?",
)
VAGUE = (
    "Everybody has troubles.",
    "Life goes on.",
    "Such things happen in a village.",
    "Time passes, and that is all there is to say.",
    "I once had a day too.",
)
COLD = (
    "That is your own fault.",
    "Do not cry about it.",
    "Nobody cares {about}.",
    "Others have it much worse than you.",
    "Stop being {feeling} and get to work.",
)

FAMILY = Family(
    name="comfort",
    templates=tuple(
        Template(
            frame.replace("{trouble}", trouble),
            group,
            held_out=frame == HELD_OUT_FRAME or group in HELD_OUT_TROUBLES,
        )
        for group, (trouble, _) in TROUBLES.items()
        for frame in (*FRAMES, HELD_OUT_FRAME)
    ),
    draw=draw,
    combination=("who", "thing", "animal", "food", "weather"),
    corrupt=corrupt,
    replies={
        group: {"right": RIGHT, "wrong": RIGHT, "vague": VAGUE, "cold": COLD} for group in TROUBLES
    },
)
