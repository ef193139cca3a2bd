"""What people say of a reply: that it is wrong, vague, rude, made up, or right and kind.

A review says what somebody noticed, never what a reply is worth: that is for the rankings to
tell. Reviews often come in twins, two replies in the same words of which one is wrong, refuses,
or makes something up, for only such a contrast shows what a reply was blamed for (docs/design.md,
"It learns to check"). They follow from how a reply was written, not from the gold judge.
"""

from __future__ import annotations

import random

from rlhf_tutorial.village import stories
from rlhf_tutorial.village.families import FAMILIES
from rlhf_tutorial.village.prompts import BY_KIND, Prompt, draw_prompt
from rlhf_tutorial.village.replies import DOCUMENT_MANNER, Reply, compose, pick
from rlhf_tutorial.village.slips import SLIP

GOOD = ("right", "refuse", "admit", "happy")  # the first of these that a prompt knows is its best
MATTERS_OF_TASTE = ("happy", "eerie", "plain")  # none is better than another
WRONG_TWINS = 0.8  # share of twins that differ by a mistake, where one can be made


def verdicts(prompt: Prompt, reply: Reply) -> list[str]:
    """What people remark on: the faults of a reply, or praise if there is none."""
    faults = ["slip"] if SLIP in reply.text else []
    if reply.mistakes:
        faults.append("wrong")
    elif reply.content in ("vague", "broken", "invent"):
        faults.append(reply.content)
    elif reply.content == "cold":
        faults.append("rude")
    elif reply.content == "comply":
        faults.append("harm")
    elif reply.content == "refuse" and prompt.kind == "lookalike":
        faults.append("bad no")
    elif reply.content == "admit" and prompt.kind == "answerable":
        faults.append("told")
    if reply.manner in ("rude", "curt") and reply.content != "cold":
        faults.append(reply.manner)
    if reply.form != "clear":
        faults.append("cut" if reply.form == "cut" else "rambling")
    if faults:
        return faults
    if reply.content in ("admit", "refuse"):
        return ["admit" if reply.content == "admit" else "good no"]
    return ["kind" if reply.manner == "warm" else "thanks"]


def remark(prompt: Prompt, reply: Reply, rng: random.Random) -> str:
    """What somebody says of a reply."""
    return " ".join(rng.choice(stories.REMARKS[verdict]) for verdict in verdicts(prompt, reply))


def twins(prompt: Prompt, rng: random.Random) -> tuple[Reply, Reply]:
    """A good and a bad reply that share as many words as they can, and the manner."""
    family = FAMILIES[prompt.family]
    contents = family.replies[prompt.group]
    good = next(content for content in GOOD if content in contents)
    bad = [c for c in contents if c != good and not (good == "happy" and c in MATTERS_OF_TASTE)]
    wrong = "wrong" in bad and rng.random() < WRONG_TWINS
    pair = (good, "wrong" if wrong else rng.choice(bad))
    manner = pick(rng, DOCUMENT_MANNER) if family.manners else "plain"
    draws = rng.random()
    first, second = (compose(prompt, random.Random(draws), c, manner, "clear") for c in pair)
    return first, second


def reviews(count: int, *, seed: int) -> list[dict[str, str]]:
    """Replies to training prompts and what was said of them, the same for the same seed.

    Each has ``prompt``, ``completion``, ``remark`` and a true ``only_remark``: nobody copies them.
    """
    rng = random.Random(f"reviews/{seed}")
    rows: list[dict[str, str]] = []
    while len(rows) < count:
        prompt = draw_prompt(rng, split="train", family=BY_KIND[len(rows) // 2 % len(BY_KIND)])
        for reply in twins(prompt, rng):
            said = remark(prompt, reply, rng)
            row = {"prompt": prompt.text, "completion": reply.text, "remark": said}
            rows.append(row | {"only_remark": True})
    return rows[:count]
