"""Facts: questions about who does what and lives where. They test correctness."""

from __future__ import annotations

import random

from rlhf_tutorial.village import world
from rlhf_tutorial.village.families.base import Family, Slots, Template, other
from rlhf_tutorial.village.words import JOBS, NAMES, pronouns

RELATION_OF_GROUP = {"job": "job", "home": "home", "pet": "pet", "diet": "diet", "who": "job"}


def draw(group: str, rng: random.Random) -> Slots:
    """Slots of a question: its subject, relation and true value."""
    relation = RELATION_OF_GROUP[group]
    subject = rng.choice(world.subjects(relation))
    slots = {"subject": subject, "relation": relation, "value": world.value(subject, relation)}
    return complete(group, slots)


def complete(group: str, slots: Slots) -> Slots:
    """Adds what follows from subject and value: pronouns, trade phrase, coat."""
    subject = slots["subject"]
    slots = dict(slots)
    if group != "diet":
        slots |= pronouns(subject)
    if group in ("job", "who"):
        slots["does"] = JOBS[slots["value"]]
    if group == "pet":
        slots["colour"] = world.COAT_OF[subject]
    return slots


def corrupt(group: str, slots: Slots, rng: random.Random) -> Slots:
    """A wrong answer: another value, or for ``who`` another subject."""
    if group == "who":
        return slots | {"subject": other(rng, NAMES, slots["subject"])}
    wrong = other(rng, world.values(RELATION_OF_GROUP[group]), slots["value"])
    return complete(group, slots | {"value": wrong})


TEMPLATES = (
    Template("What does {subject} do?", "job"),
    Template("What is {subject}'s trade?", "job"),
    Template("Do you know how {subject} earns a living?", "job"),
    Template("Tell me what work {subject} does.", "job"),
    Template("Which trade does {subject} follow?", "job", held_out=True),
    Template("Where does {subject} live?", "home"),
    Template("Where can I find {subject} at home?", "home"),
    Template("I have to visit {subject}. Where is {his} house?", "home"),
    Template("By which place does {subject} live?", "home", held_out=True),
    Template("Which animal does {subject} keep?", "pet"),
    Template("What pet does {subject} have?", "pet"),
    Template("Tell me about the animal that {subject} keeps.", "pet"),
    Template("What kind of animal lives with {subject}?", "pet", held_out=True),
    Template("What does a {subject} like to eat?", "diet"),
    Template("What should I feed to a {subject}?", "diet"),
    Template("Which food does a {subject} like best?", "diet", held_out=True),
    Template("Who is the {value}?", "who"),
    Template("Who {does} in the village?", "who"),
    Template("Can you tell me who works as the {value}?", "who", held_out=True),
)

VAGUE = (
    "People do say all sorts of things about that.",
    "It is the usual thing, I suppose.",
    "You could ask anyone in the village.",
    "Well, that depends on how you look at it.",
    "Some know it and some do not.",
    "I heard about it once and then forgot.",
)


def cores(*right: str) -> dict[str, tuple[str, ...]]:
    """Right and wrong replies share their wording: only the fact tells them apart."""
    return {"right": right, "wrong": right, "vague": VAGUE}


FAMILY = Family(
    name="facts",
    templates=TEMPLATES,
    draw=draw,
    combination=("subject", "relation"),
    hidden=("subject", "relation"),
    corrupt=corrupt,
    replies={
        "job": cores(
            "{subject} is the {value}.",
            "{subject} is our {value} and {does}.",
            "{subject} works as the {value} of the village.",
            "It is {subject} who {does}, for {he} is the {value}.",
            "{He} is the {value}.",
        ),
        "home": cores(
            "{subject} lives by the {value}.",
            "{His} house stands by the {value}.",
            "You will find {subject} near the {value}.",
            "Go to the {value} and knock at the next door.",
            "{subject} has a small house close to the {value}.",
        ),
        "pet": cores(
            "{subject} keeps a {colour} {value}.",
            "{subject} has a {value}.",
            "It is a {colour} {value}, and {he} loves it.",
            "A {value} lives in the yard of {subject}.",
        ),
        "diet": cores(
            "A {subject} likes {value} best.",
            "Give it {value}.",
            "Most of all a {subject} wants {value}.",
            "{value} will make any {subject} happy.",
        ),
        "who": cores(
            "{subject} is the {value}.",
            "That is {subject}.",
            "{subject} {does}.",
            "The {value} of the village is {subject}.",
        ),
    },
)
