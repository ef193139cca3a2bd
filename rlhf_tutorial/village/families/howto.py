"""How-to: three steps in their order. They test clarity and correctness."""

from __future__ import annotations

import random

from rlhf_tutorial.village.families.base import Family, Slots, Template, other
from rlhf_tutorial.village.words import NAMES, PLACES, pronouns

TASKS = {
    "bake bread": ("mix flour and water", "knead the dough", "bake the loaf"),
    "make soup": ("chop the onions", "boil them in water", "stir in some salt"),
    "plant beans": ("dig a row", "drop the seeds in", "water the soil"),
    "mend a fence": ("pull out the broken board", "cut a new one", "nail it in place"),
    "brew tea": ("heat the water", "put leaves in the pot", "pour it through a cloth"),
    "light a fire": ("gather dry twigs", "stack the logs", "strike a match"),
    "wash a shirt": ("soak the shirt", "rub it with soap", "hang it on the line"),
    "catch a trout": ("tie a hook to the line", "throw it far out", "wait for a pull"),
    "milk a cow": ("wash your hands", "set the pail below", "squeeze gently"),
    "paint a wall": ("scrape off the old paint", "brush on the new", "let it dry"),
    "fly a paper bird": ("fold the paper twice", "bend the wings", "let go into the wind"),
    "sew on a patch": ("thread the needle", "pin the patch", "stitch around its edge"),
    "press cider": ("pick ripe apples", "crush them", "strain the juice"),
    "grow tomatoes": ("fill pots with earth", "sow the seeds", "tie the stems to sticks"),
    "sharpen a knife": ("wet the stone", "slide the blade along", "wipe it clean"),
    "fry fish": ("clean the fish", "roll it in flour", "fry both sides"),
    "groom a horse": ("tie the horse", "comb its mane", "brush its back"),
    "make a snowman": ("roll a large ball", "put a smaller one on top", "add a carrot nose"),
    "write a poem": ("think of a sound", "find words that rhyme", "read it aloud"),
    "carve a flute stick": ("choose a straight branch", "peel the bark", "bore six holes"),
    "dry herbs": ("cut the stalks", "bind them in bunches", "hang them in the attic"),
    "churn butter": ("skim the cream", "beat it in a tub", "rinse the lump"),
    "build a raft": ("drag logs to the bank", "lash them with cord", "test it near the shore"),
    "knit a sock": ("cast on the wool", "knit a long tube", "close the toe"),
}


def steps_of(task: str) -> Slots:
    """The steps of a task as slots ``first``, ``second``, ``third``."""
    return dict(zip(("first", "second", "third"), TASKS[task], strict=True))


def draw(group: str, rng: random.Random) -> Slots:
    """A task and who or where it is about."""
    who, task = rng.choice(NAMES), rng.choice(list(TASKS))
    slots = {"who": who, "task": task, "place": rng.choice(PLACES)}
    return slots | pronouns(who) | steps_of(task)


def corrupt(group: str, slots: Slots, rng: random.Random) -> Slots:
    """Another task's steps, or the right ones back to front."""
    if rng.random() < 0.5:
        return slots | {"first": slots["third"], "third": slots["first"]}
    return slots | steps_of(other(rng, list(TASKS), slots["task"]))


FRAMES = (
    "{who} wants to {task}. What are the steps?",
    "How should {who} {task}?",
    "Please tell {who} how to {task}.",
    "I promised {who} to {task}. How do I do it?",
    "{who} has never tried to {task}. How does one begin?",
)
HELD_OUT_FRAMES = ("Explain to {who} in order how to {task}.",)

STEPS = (
    "First {first}, then {second}, and last {third}.",
    "Begin like this: {first}. After that {second}. At the end {third}.",
    "To {task}, {first}, then {second}, then {third}.",
    "There are three steps. First {first}. Next {second}. Finally {third}.",
    "You {first}. Then you {second}. When that is done, you {third}.",
)

FAMILY = Family(
    name="howto",
    templates=(
        *(Template(text, "task") for text in FRAMES),
        *(Template(text, "task", held_out=True) for text in HELD_OUT_FRAMES),
    ),
    draw=draw,
    combination=("who", "task"),
    corrupt=corrupt,
    replies={
        "task": {
            "right": STEPS,
            "wrong": STEPS,
            "vague": (
                "It takes some practice.",
                "You do it the way it is always done.",
                "First {first}, and the rest is easy.",
                "Watch somebody who can {task}.",
                "There are many ways to {task}.",
            ),
        }
    },
)
